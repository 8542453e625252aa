//! Says every few seconds that this worker lives and how it is, and does what operators want of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::error::report;
use stores::workers::{FetchOrder, NumberedOrder, SlotsReport, WorkerReport, Workers};
use tokio_util::sync::CancellationToken;

use crate::health::Observer;
use crate::periodic::Pace;

/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How often while it has not done yet what is wanted of it.
const SOON: Duration = Duration::from_millis(200);
/// How long the last word of a worker that ends may take.
const LAST: Duration = Duration::from_secs(1);

/// A worker among those of its queue.
pub(crate) struct Registration {
    workers: Workers,
    id: String,
    observer: Observer,
    started_at: DateTime<Utc>,
    /// What it does. Kept here, so that it outlasts a Redis that loses its data.
    obeyed: Option<NumberedOrder>,
    is_heard: bool,
}

impl Registration {
    pub(crate) fn new(workers: Workers, id: String, observer: Observer, started_at: DateTime<Utc>) -> Self {
        Self { workers, id, observer, started_at, obeyed: None, is_heard: true }
    }

    /// Speaks until `end` fires, and then says good-bye.
    pub(crate) async fn run(mut self, end: CancellationToken) {
        let (mut usual, mut soon) = (Pace::every(BEAT), Pace::every(SOON));
        loop {
            self.beat().await;
            let pace = if self.is_obeying() { &mut usual } else { &mut soon };
            if !pace.next(&end).await {
                break;
            }
        }
        let _ = tokio::time::timeout(LAST, self.workers.leave(&self.id)).await;
    }

    async fn beat(&mut self) {
        match self.workers.beat(&self.id, &self.report(), self.obeyed.as_ref()).await {
            Ok(order) => {
                self.is_heard = true;
                self.obey(order);
            }
            Err(error) => {
                if std::mem::take(&mut self.is_heard) {
                    tracing::warn!(
                        worker.id = self.id,
                        error = report(&error),
                        "cannot say that this worker lives"
                    );
                }
            }
        }
    }

    fn report(&self) -> WorkerReport {
        let slots = self.observer.slots().map(|(name, slots)| {
            let said = SlotsReport { slots: slots.slots(), in_flight: slots.in_flight() };
            (name.to_owned(), said)
        });
        WorkerReport {
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            slots: slots.collect(),
            is_fetching: self.observer.is_fetching(),
            obeys: self.obeyed.as_ref().map_or(0, |obeyed| obeyed.number),
        }
    }

    fn is_obeying(&self) -> bool {
        self.obeyed
            .as_ref()
            .is_none_or(|obeyed| obeyed.order.fetching == self.observer.is_fetching() || !self.is_heard)
    }

    /// Does what is wanted, if it is not done yet.
    fn obey(&mut self, order: Option<NumberedOrder>) {
        let known = self.obeyed.as_ref().map_or(0, |obeyed| obeyed.number);
        let Some(order) = order.filter(|order| order.number > known) else { return };
        let FetchOrder { fetching, by, reason, .. } = &order.order;
        self.observer.set_fetching(*fetching);
        let (what, reason) = match fetching {
            true => ("told to fetch jobs again", reason.as_deref()),
            false => ("told to stop fetching jobs: what it has goes on", reason.as_deref()),
        };
        tracing::info!(worker.id = self.id, order.by = by, order.reason = reason, "{what}");
        self.obeyed = Some(order);
    }
}

/// The name of the machine, or of the container.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
