use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use api_thin::IdentityConfig;
use clap::Args;
use jobs::plan::Plans;
use secrecy::ExposeSecret;

use crate::demo::{Client, DemoOptions, Summary};
use crate::dev::{DevOptions, DevSystem};
use crate::settings::{ExtractionSettings, PoolSettings};

/// Shows the system at work: two tenants, their documents, two graphs.
#[derive(Debug, Args)]
pub(super) struct Demo {
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
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    extraction: ExtractionSettings,
}

impl Demo {
    #[expect(clippy::print_stdout, reason = "the JSON line is the command's output")]
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log::start("error");
        // A directory of its own, so that a demo always starts empty and leaves nothing behind.
        let data =
            tempfile::Builder::new().prefix("tenantry-demo-").tempdir().context("no temporary directory")?;
        let system = DevSystem::start(self.dev_options(data.path())).await?;
        let options = DemoOptions { samples: self.samples.clone(), docs: self.docs.clone() };
        let operator = Client::new(&system.url(), system.secrets().operator_key.clone());
        let (summary, keys) = tokio::select! {
            result = crate::demo::run(&operator, &options) => result?,
            stop = super::signal::asked_to_stop() => { stop?; system.stop().await; return Ok(()) }
        };
        show(&summary);
        if self.oneshot {
            println!("{}", serde_json::to_string(&summary)?);
        } else {
            invite(&system, &keys);
            super::signal::asked_to_stop().await?;
        }
        system.stop().await;
        if summary.ok { Ok(()) } else { bail!("not everything ended as it should: see the table above") }
    }

    fn dev_options(&self, data_dir: &Path) -> DevOptions {
        DevOptions {
            listen: self.listen,
            data_dir: data_dir.to_owned(),
            redis_url: None,
            pool: PoolSettings::default(),
            extraction: self.extraction.clone(),
            plans: Plans::default(),
            identity: IdentityConfig::default(),
        }
    }
}

fn show(summary: &Summary) {
    eprintln!("\n{}\n", summary.table());
    for report in &summary.tenants {
        for (name, reason) in &report.left_out {
            eprintln!("left out of {}: {name} ({reason})", report.tenant);
        }
        for (name, reason) in &report.failed {
            eprintln!("failed in {}: {name} ({reason})", report.tenant);
        }
    }
    let read = &summary.cross_tenant_read;
    let verdict = if read.refused { "refused, as it must be" } else { "NOT REFUSED" };
    eprintln!("{}\n  -> {} {} ({verdict})\n", read.request, read.status, read.code);
}

fn invite(system: &DevSystem, keys: &[(String, String)]) {
    eprintln!("The system stays up until Ctrl-C. Look around:");
    for (tenant, key) in keys {
        let url = format!("{}/api/v1/tenants/{tenant}/kbs/default", system.url());
        eprintln!("  curl -s -H 'Authorization: Bearer {key}' '{url}/graph?limit=5'");
        eprintln!("  curl -s -H 'Authorization: Bearer {key}' '{url}/documents'");
    }
    eprintln!("  operator key: {}", system.secrets().operator_key.expose_secret());
}
