//! `api-thin`: the HTTP API as a program of its own. `api-thin --help` lists its settings.

mod settings;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use api_thin::{ApiParts, ApiState, serve};
use clap::Parser as _;
use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::{StampKeys, Stamper};
use jobs::queue::Queue;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match run(Settings::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let listen = settings.listen;
    let state = open(settings).await?;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("TENANTRY_LISTEN: cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "the API is answering");
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_when_asked(shutdown.clone()));
    serve(listener, state, shutdown).await.context("the listener failed")
}

async fn open(settings: Settings) -> anyhow::Result<ApiState> {
    let config = settings.api()?;
    let keys = StampKeys::parse(&settings.stamp_keys()?).context("TENANTRY_STAMP_KEYS")?;
    let clock: SharedClock = Arc::new(SystemClock);
    let redis_url = settings.redis_url()?;
    let queue = Queue::connect(settings.queue(redis_url.clone())).await.context("REDIS_URL")?;
    let opened = stores::open(&settings.stores(redis_url)?, Arc::clone(&clock)).await?;
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
