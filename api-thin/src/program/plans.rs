use std::path::PathBuf;

use clap::Args;
use jobs::plan::{InvalidPlans, Plans};

/// Which plans there are.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanSettings {
    /// TOML file with a table [plan.NAME] for each plan; the API needs the same. Without it there are
    /// free, pro, enterprise, and standard, which has no limits.
    #[arg(long = "plans", env = "TENANTRY_PLANS", value_name = "FILE")]
    pub plans_file: Option<PathBuf>,
}

impl PlanSettings {
    /// Reads the plans.
    ///
    /// # Errors
    /// When the file cannot be read or a plan in it cannot be used.
    pub fn plans(&self) -> Result<Plans, InvalidPlans> {
        let path = self.plans_file.as_ref().filter(|path| !path.as_os_str().is_empty());
        path.map_or_else(|| Ok(Plans::default()), |path| Plans::load(path))
    }
}
