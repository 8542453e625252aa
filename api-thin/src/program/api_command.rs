//! The API as a program, `api-thin` or `tenantry api`: its settings, environment variables and flags of the same
//! meaning, and its way from start to end. Secrets belong in the environment.

use std::sync::Arc;

use clap::Args;
use jobs::clock::{Clock as _, SharedClock, SystemClock};
use jobs::envelope::Stamper;
use secrecy::SecretString;
use stores::{Holder, Opened};
use tokio_util::sync::CancellationToken;

use super::{
    ListenSettings, PlanSettings, QueueSettings, StopSignals, StorageSettings, bind, connect, start_log,
};
use crate::config::{ApiConfig, ApiSettings, InvalidConfig, SecretSettings};
use crate::metrics::start_recorder;
use crate::server::serve;
use crate::state::{ApiParts, ApiState};

/// Answers HTTP requests and enqueues what they ask for.
#[derive(Debug, Args)]
pub struct ApiCommand {
    #[command(flatten)]
    listen: ListenSettings,
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

impl ApiCommand {
    /// Serves requests until the process receives a stop signal. `program` is the name that other programs on the same
    /// data directory show for this one.
    ///
    /// # Errors
    /// When a setting cannot be used or a server does not answer; the text names the setting and the fix.
    pub async fn run(self, program: &str) -> anyhow::Result<()> {
        start_log("info");
        start_recorder()?;
        let mut stop = StopSignals::listen()?;
        let listen = self.listen.listen;
        let holder = Holder { program, since: SystemClock.now() };
        let _lock = self.storage.take(&self.queue.url(), holder)?;
        let Some(state) = stop.unless_asked(self.open()).await else { return Ok(()) };
        let state = state?;
        let listener = bind(ListenSettings::SETTING, listen).await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "the API is answering");
        let shutdown = CancellationToken::new();
        tokio::spawn(cancel_when_asked(stop, shutdown.clone()));
        serve(listener, state, shutdown).await;
        Ok(())
    }

    /// Tries each setting and each server, and says how that went: for a person who asks what is wrong.
    pub async fn check(&self) -> Vec<(&'static str, Result<(), String>)> {
        fn said<T>(tried: Result<T, impl Into<anyhow::Error>>) -> Result<(), String> {
            tried.map(drop).map_err(|error| jobs::error::sentence(error.into().as_ref()))
        }
        let mut checks =
            vec![("keys and secrets", said(self.secrets.stamp.keys()).and_then(|()| said(self.api())))];
        checks.push(("Redis of the queue", said(connect(self.queue.config()).await)));
        let holder = Holder { program: "tenantry doctor", since: SystemClock.now() };
        let lock = self.storage.take(&self.queue.url(), holder);
        let stores = lock.and_then(|lock| Ok((lock, self.storage.stores(self.queue.url())?)));
        checks.push((
            "stores",
            match stores {
                Ok((_lock, stores)) => said(stores::open(&stores, Arc::new(SystemClock)).await),
                Err(error) => said::<()>(Err(error)),
            },
        ));
        checks
    }

    async fn open(self) -> anyhow::Result<ApiState> {
        let config = self.api()?;
        let keys = self.secrets.stamp.keys()?;
        let stores = self.storage.stores(self.queue.url())?;
        let clock: SharedClock = Arc::new(SystemClock);
        let queue = connect(self.queue.config()).await?;
        let opened = stores::open(&stores, Arc::clone(&clock)).await?;
        let stamper = Stamper::new(keys, Arc::clone(&clock));
        let Opened { stores, directory, identities, activity, workers, sampler, .. } = opened;
        Ok(ApiState::new(ApiParts {
            stores,
            directory,
            identities,
            activity,
            workers,
            queue,
            stamper,
            clock,
            config,
            sampler,
            sampled: None,
            sign_in_link: None,
        })?)
    }

    fn api(&self) -> Result<ApiConfig, InvalidConfig> {
        let fix = "make a secret with `openssl rand -hex 32` and keep it";
        let key_secret = required(ApiConfig::KEY_SECRET, self.secrets.key_secret(), fix)?;
        let (operator_key, jwt_secret) = (self.secrets.operator_key(), self.secrets.jwt_secret());
        let (rules, plans) = (self.api.rules()?, self.plans.plans()?);
        Ok(ApiConfig { key_secret, operator_key, jwt_secret, plans, rules })
    }
}

fn required(
    setting: &'static str,
    value: Option<SecretString>,
    fix: &str,
) -> Result<SecretString, InvalidConfig> {
    value.ok_or_else(|| InvalidConfig::new(setting, format!("not set: {fix}")))
}

async fn cancel_when_asked(mut stop: StopSignals, shutdown: CancellationToken) {
    stop.asked().await;
    tracing::info!("stopping: requests that are being answered may finish");
    shutdown.cancel();
}
