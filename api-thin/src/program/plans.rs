use std::path::PathBuf;

use clap::Args;
use jobs::plan::Plans;

use crate::server::InvalidConfig;

/// Which plans there are: the same for API and workers.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanSettings {
    /// TOML file with a table [plan.NAME] for each plan. Without it there are free, pro, enterprise, and standard,
    /// which
    /// has no limits.
    #[arg(long = "plans", env = "TENANTRY_PLANS", value_name = "FILE")]
    pub plans_file: Option<PathBuf>,
}

impl PlanSettings {
    /// Reads the plans.
    ///
    /// # Errors
    /// When the file cannot be read or a plan in it cannot be used. The error names the setting and the file.
    pub fn plans(&self) -> Result<Plans, InvalidConfig> {
        let Some(path) = &self.plans_file else { return Ok(Plans::default()) };
        Plans::load(path).map_err(|error| {
            let problem = format!("{}: {}", path.display(), jobs::error::sentence(&error));
            InvalidConfig::new(Plans::SETTING, problem)
        })
    }
}
