//! `api-thin`: the HTTP API as a program of its own. `api-thin --help` lists its settings.

mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use api_thin::program::{self, bind, connect, parse, start_log};
use api_thin::{ApiParts, ApiState, serve};
use jobs::clock::{Clock as _, SharedClock, SystemClock};
use jobs::envelope::Stamper;
use stores::Holder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

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
