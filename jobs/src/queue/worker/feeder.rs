//! Claims as many jobs as there are free slots, never more, and waits when there is nothing to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::backoff::{Backoff, jittered};
use super::delivery;
use super::shard_order::{NextShard, ShardOrder};
use super::shared::Shared;
use super::watchers::{POLL, Wanted, Watchers};
use crate::queue::claim::{Claim, FetchRequest, Fetched, Turn, VirtualTime};
use crate::queue::connection::Resend;
use crate::queue::error::QueueError;
use crate::queue::servers::Servers;

/// Most jobs in one claim.
const CLAIM_JOBS: usize = 200;
/// The shortest wait.
const SHORTEST: Duration = Duration::from_millis(2);
/// How long a feeder with no free slot waits until it proves that it is alive.
const PROOF: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    let shards = shared.queue.shards();
    let mut feeder = Feeder {
        order: ShardOrder::new(shards.end),
        asked: shards.clone().map(|_| Asked::default()).collect(),
        // A single shard is waited for where its jobs are fetched.
        watchers: (shards.len() > 1).then(|| Watchers::start(&shared)),
        markers: shared.queue.servers().separate(),
        backoff: Backoff::new(),
        delivery: None,
        shared,
    };
    while let Some(slots) = feeder.free_slots().await {
        feeder.step(slots).await;
    }
    feeder.delivered().await;
}

struct Feeder {
    shared: Arc<Shared>,
    order: ShardOrder,
    asked: Vec<Asked>,
    watchers: Option<Watchers>,
    markers: Servers,
    backoff: Backoff,
    /// Of the last claim.
    delivery: Option<JoinHandle<()>>,
}

/// What became of the requests to one shard.
#[derive(Debug, Default)]
struct Asked {
    /// Number of the request that is to be answered next.
    attempt: u64,
    /// How often in a row it said "ask again".
    again: u32,
    /// How often in a row it did not answer.
    failures: u32,
    lanes: Vec<u64>,
}

impl Feeder {
    /// Waits for free slots; `None` when the worker stops.
    async fn free_slots(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(first) = Arc::clone(&self.shared.slots).try_acquire_owned()
            && !self.shared.stopping.is_cancelled()
        {
            return Some(self.with_others(first));
        }
        self.set_hungry(false);
        let slots = self.next_slots().await;
        self.set_hungry(true);
        slots
    }

    async fn next_slots(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let slot = Arc::clone(&self.shared.slots).acquire_owned();
            let slot = tokio::select! {
                () = self.shared.stopping.cancelled() => return None,
                slot = tokio::time::timeout(PROOF, slot) => slot,
            };
            match slot {
                Ok(Ok(first)) => return Some(self.with_others(first)),
                Ok(Err(_closed)) => return None,
                Err(_elapsed) => self.prove().await,
            }
        }
    }

    fn set_hungry(&self, hungry: bool) {
        if let Some(watchers) = &self.watchers {
            watchers.set_hungry(hungry);
        }
    }

    fn with_others(&self, mut first: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        let others = self.shared.slots.available_permits().min(CLAIM_JOBS - 1);
        let others = u32::try_from(others).unwrap_or(0);
        if others > 0
            && let Ok(others) = Arc::clone(&self.shared.slots).try_acquire_many_owned(others)
        {
            first.merge(others);
        }
        first
    }

    async fn prove(&self) {
        match self.shared.queue.ping_any().await {
            Ok(()) => self.shared.polled(),
            Err(error) => tracing::debug!(%error, "no sign of life from redis"),
        }
    }

    /// Asks the shard whose turn it is, or waits until it is one's.
    async fn step(&mut self, slots: OwnedSemaphorePermit) {
        if let Some(watchers) = &self.watchers {
            watchers.rung().for_each(|shard| self.order.woken(shard));
        }
        match self.order.next(Instant::now()) {
            NextShard::Ask { shard, turn } => self.feed(shard, turn, slots).await,
            NextShard::Wait { until } => {
                drop(slots);
                self.wait_for_any(until).await;
            }
        }
    }

    /// Asks a single shard until there is an answer, one of several once. A claim whose answer got lost is asked for
    /// again rather than left to its lease.
    async fn feed(&mut self, shard: u16, turn: Option<Turn>, slots: OwnedSemaphorePermit) {
        if let Some(watchers) = &self.watchers {
            watchers.want(shard, Wanted::Nothing);
        }
        let started = Instant::now();
        let lease = self.shared.queue.config().lease;
        while !self.shared.stopping.is_cancelled() && started.elapsed() < lease / 3 {
            let request = FetchRequest {
                worker: &self.shared.name,
                attempt: self.asked[usize::from(shard)].attempt,
                shard,
                turn,
                lanes: &self.shared.options.lanes,
                limit: slots.num_permits(),
                quantum: self.shared.options.quantum,
            };
            match self.shared.queue.fetch_ids(request).await {
                Ok(answer) => {
                    self.backoff.reset();
                    self.shared.polled();
                    self.asked(shard).attempt += 1;
                    self.asked(shard).failures = 0;
                    return self.use_answer(shard, answer, slots, started + lease).await;
                }
                Err(error) if self.watchers.is_some() => return self.give_up(shard, &error),
                Err(error) => self.wait_after(&error, "cannot fetch jobs, trying again").await,
            }
        }
    }

    /// The other shards must not wait for this one, nor find out one by one that its server is away.
    fn give_up(&mut self, shard: u16, error: &QueueError) {
        tracing::warn!(
            queue.shard = shard,
            error = crate::error::report(error),
            "cannot fetch jobs of a shard"
        );
        let Some(watchers) = &self.watchers else { return };
        let failures = self.asked[usize::from(shard)].failures;
        self.asked[usize::from(shard)].failures += 1;
        let wait = jittered(Duration::from_millis(50) * 2_u32.pow(failures.min(5)));
        for shard in self.shared.queue.servers().together_with(shard) {
            self.order.away(shard);
            watchers.want(shard, Wanted::Life { wait });
        }
    }

    fn asked(&mut self, shard: u16) -> &mut Asked {
        &mut self.asked[usize::from(shard)]
    }

    async fn wait_after(&mut self, error: &QueueError, what: &str) {
        tracing::warn!(error = crate::error::report(error), "{what}");
        tokio::select! {
            () = self.shared.stopping.cancelled() => {}
            () = self.backoff.wait() => {}
        }
    }

    async fn use_answer(
        &mut self,
        shard: u16,
        answer: Fetched,
        slots: OwnedSemaphorePermit,
        lease_end: Instant,
    ) {
        match answer {
            Fetched::Claim(claim) => {
                self.asked(shard).again = 0;
                // A single shard is asked as long as it has something.
                let at_once = Instant::now();
                self.order.answered(shard, claim.virtual_time, at_once);
                self.deliver(claim, slots, lease_end).await;
            }
            Fetched::Nothing { next_in, more, lane_numbers, virtual_time } => {
                drop(slots);
                let wait = if more { self.short_wait(shard) } else { idle_wait(next_in) };
                self.asked(shard).lanes = lane_numbers;
                let idle = VirtualTime { next: None, ..virtual_time };
                self.order.answered(shard, idle, Instant::now() + wait);
                self.watch(shard, wait, more).await;
            }
        }
    }

    /// In the background, so that Redis can make the next claim meanwhile; one claim after the other.
    async fn deliver(&mut self, claim: Claim, slots: OwnedSemaphorePermit, lease_end: Instant) {
        self.delivered().await;
        let shared = Arc::clone(&self.shared);
        self.delivery =
            Some(tokio::spawn(async move { delivery::deliver(&shared, claim, slots, lease_end).await }));
    }

    async fn delivered(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.await.ok();
        }
    }

    /// Usually once or twice. A damaged index could say so for ever: that must not become a busy loop.
    fn short_wait(&mut self, shard: u16) -> Duration {
        let asked = self.asked(shard);
        asked.again += 1;
        SHORTEST * 2_u32.pow((asked.again - 1).min(8))
    }

    /// Waits for a marker of the single shard, or leaves that to the shard's watcher.
    async fn watch(&mut self, shard: u16, wait: Duration, more: bool) {
        let lanes = std::mem::take(&mut self.asked(shard).lanes);
        if !more {
            self.asked(shard).again = 0;
        }
        match &self.watchers {
            Some(_) if more || lanes.is_empty() => {}
            Some(watchers) => watchers.want(shard, Wanted::Work { lanes }),
            None if more || lanes.is_empty() => tokio::time::sleep(wait).await,
            None => self.wait_for_marker(shard, &lanes, wait).await,
        }
    }

    /// Until a watcher rings, `until`, or the stop.
    async fn wait_for_any(&self, until: Option<Instant>) {
        let wait = until.map_or(POLL, |until| until.saturating_duration_since(Instant::now()));
        let ring = async {
            match &self.watchers {
                Some(watchers) => watchers.any().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stopping.cancelled() => {}
            () = ring => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    async fn wait_for_marker(&mut self, shard: u16, lanes: &[u64], wait: Duration) {
        let mut command = redis::cmd("BZPOPMIN");
        for lane in lanes {
            command.arg(self.shared.queue.key(shard, &format!("mk:{lane}")));
        }
        command.arg(wait.as_secs_f64());
        let deadline = wait + self.shared.queue.config().call_deadline;
        let popped = self.markers.query_within::<redis::Value>(shard, &command, Resend::Never, deadline);
        let popped = tokio::select! {
            () = self.shared.stopping.cancelled() => return,
            popped = popped => popped,
        };
        self.order.woken(shard);
        match popped {
            Ok(_) => self.shared.polled(),
            Err(error) => self.wait_after(&error, "cannot wait for jobs, trying again").await,
        }
    }
}

/// Until the next timer, and never longer than the fallback poll.
fn idle_wait(next_in: Option<Duration>) -> Duration {
    next_in.unwrap_or(POLL).clamp(SHORTEST, jittered(POLL))
}
