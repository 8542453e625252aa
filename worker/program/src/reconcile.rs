//! The command `tenantry reconcile`.

use std::fmt::Write as _;
use std::time::Duration;

use api_thin::StampKeySettings;
use api_thin::program::{PlanSettings, QueueSettings, StorageSettings, print, start_log};
use clap::Args;
use jobs::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use stores::Holder;
use worker::Worker;
use worker::reconcile::{Mode, Reconciled, Reconciler};

use crate::system::connect;

/// Looks for accepted work that the queue has lost, and enqueues it again.
///
/// Workers do so by themselves every `TENANTRY_RECONCILE_S`, and at once when Redis comes back without its data. This
/// does it now and says what it found; with `--dry-run` it changes nothing. It may run beside workers and beside
/// itself: no job is enqueued twice.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, mut_arg("stamp_keys", |arg| arg.required(true)))]
pub(crate) struct ReconcileCommand {
    /// Only says what is lost.
    #[arg(long)]
    dry_run: bool,
    /// Leaves jobs alone that were enqueued later than so many seconds ago.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    older_than: u32,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    stamp: StampKeySettings,
    #[command(flatten)]
    storage: StorageSettings,
    #[command(flatten)]
    plans: PlanSettings,
}

impl ReconcileCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        let holder = Holder { program: "tenantry reconcile", since: SystemClock.now() };
        let _lock = self.storage.take(&self.queue.url(), holder)?;
        let (keys, stores) = (self.stamp.keys()?, self.storage.stores(self.queue.url())?);
        let worker = Worker::builder(self.queue.config(), keys, stores).plans(self.plans.plans()?);
        // It runs no jobs: the types alone are needed.
        let worker = connect(worker.registry(ingest::registry()), &self.queue.url()).await?;
        let every = Duration::from_secs(self.older_than.into());
        let reconciler = Reconciler { every, ..worker.reconciler() };
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Repair };
        let done = reconciler.everywhere(mode).await?;
        print(&if self.json { shown(&done, mode).to_string() } else { told(&done, mode) })
    }
}

fn shown(done: &Reconciled, mode: Mode) -> Value {
    let lost = done.lost.iter();
    let lost = lost.map(|job| json!({ "tenant": job.tenant.as_str(), "job": job.id, "type": job.kind }));
    json!({
        "dry_run": mode == Mode::DryRun,
        "looked_at": done.looked_at,
        "enqueued": done.enqueued,
        "mended": done.mended,
        "ended": done.ended,
        "given_up": done.given_up,
        "deliveries": done.deliveries,
        "waiting": done.waiting,
        "lost": lost.collect::<Vec<_>>(),
    })
}

fn told(done: &Reconciled, mode: Mode) -> String {
    let would = if mode == Mode::DryRun { "would be " } else { "" };
    let mut text = format!("{} jobs and deliveries should be in the queue", done.looked_at);
    if done.is_well() {
        return text + "; all of them are";
    }
    for (count, what) in [
        (done.enqueued, "were lost: {would}enqueued again"),
        (done.mended, "were there and led nowhere: {would}put back"),
        (done.given_up, "will not be done: {would}given up, and their documents told why"),
        (done.deliveries, "deliveries were lost: {would}handed on again"),
        (done.waiting, "are lost and cannot be enqueued now: the log says why"),
    ] {
        if count > 0 {
            let _ = write!(text, "\n{count} {}", what.replace("{would}", would));
        }
    }
    for job in &done.lost {
        let _ = write!(text, "\n  {}  {}  {}", job.tenant, job.id, job.kind);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_would() {
        let done = Reconciled { looked_at: 3, enqueued: 2, ..Reconciled::default() };
        assert!(told(&done, Mode::DryRun).contains("2 were lost: would be enqueued again"));
        assert!(told(&done, Mode::Repair).contains("2 were lost: enqueued again"));
        let well = Reconciled { looked_at: 3, ..Reconciled::default() };
        assert_eq!(
            told(&well, Mode::Repair),
            "3 jobs and deliveries should be in the queue; all of them are"
        );
    }
}
