//! The command `tenantry demo`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use api_thin::program::{PlanSettings, StopSignals, listen_address, print, say, start_log};
use api_thin::{ApiRules, ApiSettings, InvalidConfig, SecretSettings};
use clap::Args;
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use ingest::ExtractionSettings;
use jobs::plan::Plans;
use secrecy::ExposeSecret;
use worker::settings::PoolSettings;

use super::{Client, DemoOptions, Summary};
use crate::dev::{DevOptions, DevSystem};

/// Shows the system at work: two tenants, their documents, two graphs.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Ingest this folder for the first tenant, in place of its sample documents.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// Folder with one subfolder of sample documents for each tenant.
    #[arg(long, default_value = "docker/demo", value_name = "DIR")]
    samples: PathBuf,
    /// End when done, with one JSON line on standard output.
    #[arg(long)]
    oneshot: bool,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS", value_parser = listen_address)]
    listen: SocketAddr,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    pool: PoolSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    extraction: ExtractionSettings,
    #[command(flatten)]
    api: ApiSettings,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("error");
        let mut stop = StopSignals::listen()?;
        let options = DemoOptions { samples: self.samples.clone(), docs: self.docs.clone() };
        options.check()?;
        let (plans, api) = (self.plans.plans()?, self.rules()?);
        // A directory of its own, so that a demo always starts empty and leaves nothing behind.
        let data =
            tempfile::Builder::new().prefix("tenantry-demo-").tempdir().context("no temporary directory")?;
        let started = stop.unless_asked(DevSystem::start(self.dev_options(data.path(), plans, api))).await;
        let Some(system) = started else { return Ok(()) };
        let system = system?;
        let operator = Client::new(&system.url(), system.secrets().operator_key.clone());
        let (summary, keys) = tokio::select! {
            result = super::run(&operator, &options) => result?,
            () = stop.asked() => { system.stop().await; return Ok(()) }
            reason = system.broken() => { system.abandon().await; bail!("{reason}") }
        };
        show(&summary);
        if self.oneshot {
            print(&serde_json::to_string(&summary)?)?;
        } else {
            let busy = tokio::select! {
                busy = stage(&operator, &options, &keys) => busy,
                () = stop.asked() => { system.stop().await; return Ok(()) }
            };
            let busy = busy.unwrap_or_else(|error| {
                say(format!("The dashboard has less to show than it could: {error:#}"));
                Box::pin(future::ready(()))
            });
            invite(&system, &keys);
            tokio::select! {
                () = stop.asked() => {}
                // It ends before the demo does.
                () = busy.then(|()| future::pending()) => {}
                reason = system.broken() => { system.abandon().await; bail!("{reason}") }
            }
        }
        system.stop().await;
        if summary.ok { Ok(()) } else { bail!("not everything ended as it should: see the table above") }
    }

    /// The settings of the API.
    fn rules(&self) -> anyhow::Result<ApiRules> {
        let rules = self.api.rules()?;
        if rules.resolution.only_tenant.is_some() {
            let problem = "off leaves one tenant, and the demo shows two: unset it, or use `tenantry dev`";
            return Err(InvalidConfig::new("TENANTRY_MULTI_TENANT", problem).into());
        }
        Ok(rules)
    }

    fn dev_options(&self, data_dir: &Path, plans: Plans, api: ApiRules) -> DevOptions {
        DevOptions {
            program: "tenantry demo",
            listen: self.listen,
            data_dir: data_dir.to_owned(),
            blobs_url: None,
            redis_url: None,
            shards: None,
            secrets: self.secrets.clone(),
            pool: self.pool.clone(),
            extraction: self.extraction.clone(),
            plans,
            api,
        }
    }
}

/// Makes a document of the first tenant fail and a schedule of it pause, and the last tenant busy.
async fn stage(
    operator: &Client,
    options: &DemoOptions,
    keys: &[(String, String)],
) -> anyhow::Result<BoxFuture<'static, ()>> {
    let (Some((idle, key)), Some((busy, busy_key))) = (keys.first(), keys.last()) else {
        return Ok(Box::pin(future::ready(())));
    };
    super::trouble(operator, &operator.with_key(key), idle).await?;
    let texts = options.samples_of_last()?;
    Ok(Box::pin(super::busy(operator, operator.with_key(busy_key), busy, &texts).await?))
}

fn show(summary: &Summary) {
    say(format!("\n{}\n", summary.table()));
    for report in &summary.tenants {
        for (name, reason) in &report.left_out {
            say(format!("left out of {}: {name} ({reason})", report.tenant));
        }
        for (name, reason) in &report.failed {
            say(format!("failed in {}: {name} ({reason})", report.tenant));
        }
    }
    let read = &summary.cross_tenant_read;
    let verdict = if read.refused { "refused, as it must be" } else { "NOT REFUSED" };
    say(format!("{}\n  -> {} {} ({verdict})\n", read.request, read.status, read.code));
}

fn invite(system: &DevSystem, keys: &[(String, String)]) {
    for (_, key) in keys {
        system.sign_in_with(key.clone().into());
    }
    say("The system stays up until Ctrl-C. Look around:");
    for (tenant, key) in keys {
        let url = format!("{}/api/v1/tenants/{tenant}/kbs/default", system.url());
        say(format!("  curl -s -H 'Authorization: Bearer {key}' '{url}/graph?limit=5'"));
        say(format!("  curl -s -H 'Authorization: Bearer {key}' '{url}/documents'"));
    }
    say(format!("  operator key: {}", system.secrets().operator_key.expose_secret()));
    if let [(idle, _), .., (busy, _)] = keys {
        say(format!(
            "{busy} reads its archive again and again, for ten minutes; of {idle} a document failed."
        ));
    }
    say(format!("\nThe dashboard, which signs you in once:  {}", system.sign_in_url()));
}
