use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::limits::{InvalidLimit, Limits};
use crate::queue::PartitionShare;
use crate::tenant::TenantStatus;

/// The plans of an installation: those of a file, or, by default, `free`, `pro` and `enterprise`. There is
/// always one called [`Plans::USUAL`], without limits unless it is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    plans: BTreeMap<String, Limits>,
}

/// Plans that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlans {
    /// The file cannot be read.
    #[error("the file cannot be read ({}): name a TOML file that this process may read", crate::error::plain_io(.0))]
    File(std::io::Error),
    /// The text is not a table of plans.
    #[error(
        "line {line}: {text}: {message}: write a table [plan.NAME] for each plan, its limits whole numbers, 0 for no limit"
    )]
    Syntax {
        /// The number of the line with the error.
        line: usize,
        /// The text of the line.
        text: String,
        /// The parser's message.
        message: String,
    },
    /// A name cannot be used.
    #[error("plan {0:?}: a name has 1 to 63 of a-z, 0-9, - and _")]
    Name(String),
    /// A limit cannot be used.
    #[error("plan {plan}: {limit}")]
    Limit {
        /// The name of the plan.
        plan: String,
        /// The limit, and the values that are expected.
        limit: InvalidLimit,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    plan: BTreeMap<String, Limits>,
}

impl Default for Plans {
    fn default() -> Self {
        Self::parse(include_str!("built_in.toml")).expect("a test reads the plans that are built in")
    }
}

impl Plans {
    /// The plan of tenants for which none was chosen.
    pub const USUAL: &'static str = "standard";
    /// The setting that names the file with the plans.
    pub const SETTING: &'static str = "TENANTRY_PLANS";

    /// Reads plans from a TOML file with a table `[plan.NAME]` for each.
    ///
    /// # Errors
    /// When the file cannot be read or a plan in it cannot be used.
    pub fn load(path: &Path) -> Result<Self, InvalidPlans> {
        Self::parse(&std::fs::read_to_string(path).map_err(InvalidPlans::File)?)
    }

    /// Reads plans from TOML.
    ///
    /// # Errors
    /// When a plan cannot be used.
    pub fn parse(text: &str) -> Result<Self, InvalidPlans> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count();
            InvalidPlans::Syntax {
                line: line + 1,
                text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
                message: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
            }
        })?;
        for (name, limits) in &file.plan {
            let label =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            if !(1..=63).contains(&name.len()) || !name.bytes().all(label) {
                return Err(InvalidPlans::Name(name.clone()));
            }
            limits.check().map_err(|limit| InvalidPlans::Limit { plan: name.clone(), limit })?;
        }
        Ok(Self { plans: file.plan })
    }

    /// Whether there is such a plan.
    #[must_use]
    pub fn has(&self, plan: &str) -> bool {
        plan == Self::USUAL || self.plans.contains_key(plan)
    }

    /// The names of all plans.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.plans.keys().map(String::as_str).collect();
        if !names.contains(&Self::USUAL) {
            names.push(Self::USUAL);
        }
        names
    }

    /// The limits of a tenant of `plan` that has limits of its own.
    #[must_use]
    pub fn limits(&self, plan: &str, own: &Limits) -> Limits {
        self.plans.get(plan).map_or_else(|| own.clone(), |plan| own.over(plan))
    }

    /// What the queue shall know of a tenant: its limits, and whether it is suspended.
    #[must_use]
    pub fn share(&self, plan: &str, own: &Limits, status: TenantStatus) -> PartitionShare {
        let suspended = Some(status == TenantStatus::Suspended);
        PartitionShare { suspended, ..self.limits(plan, own).share() }
    }

    /// Whether the plan or the tenant's own limits set anything. If not, the queue's settings are left alone: a
    /// program with rules of its own may have set them.
    #[must_use]
    pub fn decide(&self, plan: &str, own: &Limits) -> bool {
        self.plans.contains_key(plan) || !own.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::limits::Quota;

    const TEXT: &str = "
        [plan.free]
        cap = 2
        backlog_jobs = 100
        [plan.free.type_caps]
        \"document.ingest\" = 1
        [plan.pro]
        weight = 4
    ";

    #[test]
    fn plans_are_read_from_a_file() {
        let plans = Plans::parse(TEXT).unwrap();
        assert_eq!(plans.names(), ["free", "pro", "standard"]);
        let free = plans.limits("free", &Limits { cap: Some(3), ..Limits::default() });
        assert_eq!((free.cap, free.backlog_jobs, free.type_caps["document.ingest"]), (Some(3), Some(100), 1));
        assert!(plans.limits("standard", &Limits::default()).is_empty());
        assert!(plans.decide("free", &Limits::default()) && !plans.decide("standard", &Limits::default()));
        let share = plans.share("pro", &Limits::default(), TenantStatus::Suspended);
        assert_eq!((share.weight, share.suspended), (Some(4), Some(true)));
    }

    #[test]
    fn without_a_file_there_are_three_plans_with_every_quota() {
        let plans = Plans::default();
        assert_eq!(plans.names(), ["enterprise", "free", "pro", "standard"]);
        let none = Limits::default();
        let maximum = |plan: &str, quota| plans.limits(plan, &none).maximum(quota);
        for quota in Quota::ALL {
            let [free, pro, enterprise] = ["free", "pro", "enterprise"].map(|plan| maximum(plan, quota));
            assert!(free.is_some() && free < pro && pro < enterprise, "{quota}");
            assert_eq!(maximum("standard", quota), quota.usual(), "{quota}");
        }
    }

    #[test]
    fn plans_that_cannot_be_used_say_which_and_why() {
        for (text, expected) in [
            ("[plan.free]\ncap = \"two\"", "cap"),
            ("[plan.free]\nmax = 2", "max"),
            ("[plans.free]\ncap = 2", "plan"),
            ("[plan.free]\nweight = 0", "plan free: weight: expected 1 to 100"),
            ("[plan.\"A b\"]\ncap = 1", "A b"),
            ("[plan.free]\nkbs = -1", "line 2: "),
            ("[plan.free]\nkbs = 2.5", "0 for no limit"),
            ("[plan.free]\nmembers = 2_000_000", "plan free: members: expected 1 to 1000000 members"),
            ("[plan.free]\nisolation = \"planet\"", "expected `shared`"),
        ] {
            let error = Plans::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let missing = Plans::load(Path::new("/nowhere/plans.toml")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the file cannot be read (no such file or directory): name a TOML file that this process may read"
        );
    }
}
