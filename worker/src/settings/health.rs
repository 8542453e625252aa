use std::net::SocketAddr;

use api_thin::InvalidConfig;
use api_thin::program::{bind, listen_address};
use clap::Args;
use tokio::net::TcpListener;

/// Whether a worker shows how it is.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthSettings {
    /// Address and port for /healthz, /readyz and /metrics. They ask for no credentials, so keep them inside.
    /// Nothing is served by default.
    #[arg(
        long = "health-listen",
        env = "TENANTRY_HEALTH_LISTEN",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    pub listen: Option<SocketAddr>,
}

impl HealthSettings {
    /// Listens, if an address was given.
    ///
    /// # Errors
    /// When the address is taken; the text names the setting.
    pub async fn bind(&self) -> Result<Option<TcpListener>, InvalidConfig> {
        match self.listen {
            Some(address) => bind("TENANTRY_HEALTH_LISTEN", address).await.map(Some),
            None => Ok(None),
        }
    }
}
