//! `api-thin`: the HTTP API as a program of its own. `api-thin --help` lists its settings.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use api_thin::program::{
    self, PlanSettings, QueueSettings, StorageSettings, bind, connect, listen_address, parse, start_log,
};
use api_thin::{ApiConfig, ApiParts, ApiSettings, ApiState, InvalidConfig, SecretSettings, serve};
use clap::Parser;
use jobs::clock::{Clock as _, SharedClock, SystemClock};
use jobs::envelope::{StampKeys, Stamper};
use secrecy::SecretString;
use stores::Holder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The HTTP API of Tenantry.
#[derive(Debug, Parser)]
#[command(version)]
struct Settings {
    /// Address and port to answer on.
    #[arg(long, env = Self::LISTEN, default_value = "127.0.0.1:8080", value_parser = listen_address, value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    storage: StorageSettings,
}

impl Settings {
    const LISTEN: &str = "TENANTRY_LISTEN";

    fn stamp_keys(&self) -> Result<StampKeys, InvalidConfig> {
        let fix = "make a key with `worker keygen`, the same for the workers";
        let keys = required(StampKeys::SETTING, self.secrets.stamp_keys(), fix)?;
        StampKeys::parse(&keys).map_err(|error| InvalidConfig::new(StampKeys::SETTING, error.to_string()))
    }

    fn api(&self) -> Result<ApiConfig, InvalidConfig> {
        let fix = "make a secret with `openssl rand -hex 32` and keep it";
        let key_secret = required(ApiConfig::KEY_SECRET, self.secrets.key_secret(), fix)?;
        let (operator_key, jwt_secret) = (self.secrets.operator_key(), self.secrets.jwt_secret());
        let (rules, plans) = (self.api.rules()?, self.plans.plans()?);
        Ok(ApiConfig { key_secret, operator_key, jwt_secret, plans, rules })
    }
}

fn main() -> ExitCode {
    parse().map_or_else(|code| code, |settings| program::run(run(settings)))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    start_log("info");
    let listen = settings.listen;
    let holder = Holder { program: "api-thin", since: SystemClock.now() };
    let _lock = settings.storage.take(&settings.queue.url(), holder)?;
    let state = open(settings).await?;
    let listener = bind(Settings::LISTEN, listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "the API is answering");
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_when_asked(shutdown.clone()));
    serve(listener, state, shutdown).await;
    Ok(())
}

async fn open(settings: Settings) -> anyhow::Result<ApiState> {
    let config = settings.api()?;
    let keys = settings.stamp_keys()?;
    let stores = settings.storage.stores(settings.queue.url())?;
    let clock: SharedClock = Arc::new(SystemClock);
    let queue = connect(settings.queue.config()).await?;
    let opened = stores::open(&stores, Arc::clone(&clock)).await?;
    let stamper = Stamper::new(keys, Arc::clone(&clock));
    let (stores, directory, identities) = (opened.stores, opened.directory, opened.identities);
    Ok(ApiState::new(ApiParts { stores, directory, identities, queue, stamper, clock, config })?)
}

async fn cancel_when_asked(shutdown: CancellationToken) {
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests that are being answered may finish");
        shutdown.cancel();
    }
}

fn required(
    setting: &'static str,
    value: Option<SecretString>,
    fix: &str,
) -> Result<SecretString, InvalidConfig> {
    value.ok_or_else(|| InvalidConfig::new(setting, format!("not set: {fix}")))
}
