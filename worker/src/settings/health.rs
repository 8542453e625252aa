use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

/// Whether a worker shows how it is.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthSettings {
    /// Address and port for /healthz, /readyz and /metrics. They ask for no credentials, so keep them inside.
    /// Nothing is served by default.
    #[arg(long = "health-listen", env = "TENANTRY_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

impl HealthSettings {
    /// Listens, if an address was given.
    ///
    /// # Errors
    /// When the address is taken; the text names the setting.
    pub async fn bind(&self) -> anyhow::Result<Option<TcpListener>> {
        let Some(address) = self.listen else { return Ok(None) };
        let listener = TcpListener::bind(address).await;
        let cannot = || format!("TENANTRY_HEALTH_LISTEN: cannot listen on {address}");
        listener.map(Some).with_context(cannot)
    }
}
