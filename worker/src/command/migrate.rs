use api_thin::program::start_log;
use clap::Args;
use secrecy::SecretString;

/// Creates or updates the Postgres tables and roles.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Postgres as the role that owns the tables. It may create roles; it need not be a superuser.
    #[arg(long, env = "POSTGRES_ADMIN_URL", hide_env_values = true, value_name = "URL")]
    postgres_admin_url: String,
    /// Postgres as the role that the API and the workers use. It is created if absent.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    postgres_url: String,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let (admin, app) =
            (SecretString::from(self.postgres_admin_url), SecretString::from(self.postgres_url));
        Ok(stores::migrate(&admin, &app).await?)
    }
}
