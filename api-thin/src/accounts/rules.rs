use std::collections::BTreeSet;
use std::time::Duration;

use jobs::tenant::Identity;
use stores::model::GateRule;

/// Who may make an account, and how often a log-in may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRules {
    /// How often in a row a password may be wrong, and how long the user is locked then.
    pub lock: GateRule,
    /// How often one address may log in; `None`: as often as it likes.
    pub per_address: Option<GateRule>,
    /// Whether anybody may sign up.
    pub sign_up: Switch,
    /// How often one address may sign up; `None`: as often as it likes.
    pub sign_ups_per_address: Option<GateRule>,
    /// People who may do what the operator may.
    pub super_admins: BTreeSet<Identity>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    #[default]
    Off,
}

impl AccountRules {
    /// How long wrong passwords are remembered.
    pub(crate) const FORGET: Duration = Duration::from_secs(24 * 3_600);
}

impl Default for AccountRules {
    fn default() -> Self {
        let lock = GateRule::Lock {
            free: 5,
            first_wait: Duration::from_secs(30),
            longest_wait: Duration::from_secs(900),
            forget: Self::FORGET,
        };
        let minute = Duration::from_secs(60);
        Self {
            lock,
            per_address: Some(GateRule::Rate { tries: 120, window: minute }),
            sign_up: Switch::Off,
            sign_ups_per_address: Some(GateRule::Rate { tries: 60, window: minute * 60 }),
            super_admins: BTreeSet::new(),
        }
    }
}
