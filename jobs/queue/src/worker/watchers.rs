//! Waiting for several shards at once: one task and one connection for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::error::QueueError;
use crate::queue::Queue;
use crate::redis::{Resend, Servers};
use crate::worker::worker_queue::{Backoff, Shared, jittered};

/// How long a wait on the wake-up markers lasts at most, on average.
pub(super) const POLL: Duration = Duration::from_millis(1_500);

/// What a watcher has to wait for in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: the feeder fetches by itself.
    Nothing,
    /// When there may be work in one of these skills.
    Work { skills: Vec<u64> },
    /// When it answers again; not to be asked before `wait` is over.
    Life { wait: Duration },
}

/// The watchers of all shards. They end with this value.
#[derive(Debug)]
pub(super) struct Watchers {
    wanted: Vec<watch::Sender<Wanted>>,
    has_capacity: watch::Sender<bool>,
    wake_ups: Arc<WakeUps>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct WakeUps {
    noted: Vec<AtomicBool>,
    any: Notify,
}

impl WakeUps {
    fn note(&self, shard: u16) {
        self.noted[usize::from(shard)].store(true, Ordering::Release);
        self.any.notify_one();
    }
}

impl Watchers {
    /// Starts one for each shard.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (has_capacity, may_claim) = watch::channel(true);
        let noted = shared.queue.shards().map(|_| AtomicBool::new(false)).collect();
        let wake_ups = Arc::new(WakeUps { noted, any: Notify::new() });
        let (mut wanted, mut tasks) = (Vec::new(), JoinSet::new());
        for shard in shared.queue.shards() {
            let (want, wants) = watch::channel(Wanted::Nothing);
            wanted.push(want);
            let (shared, wake_ups, may_claim) =
                (Arc::clone(shared), Arc::clone(&wake_ups), may_claim.clone());
            let connection = shared.queue.servers().separate();
            let watcher =
                Watcher { shared, shard, connection, wake_ups, wants, may_claim, backoff: Backoff::new() };
            tasks.spawn(watcher.run());
        }
        Self { wanted, has_capacity, wake_ups, _tasks: tasks }
    }

    pub(super) fn want(&self, shard: u16, wanted: Wanted) {
        self.wanted[usize::from(shard)].send_replace(wanted);
    }

    /// Whether there is a slot for a job. A marker that is found without one is left to another worker.
    pub(super) fn set_has_capacity(&self, has_capacity: bool) {
        self.has_capacity.send_if_modified(|was| std::mem::replace(was, has_capacity) != has_capacity);
    }

    /// Shards where something happened since the last call.
    pub(super) fn noted(&self) -> impl Iterator<Item = u16> + '_ {
        let noted =
            |(wake_up, shard): (&AtomicBool, u16)| wake_up.swap(false, Ordering::AcqRel).then_some(shard);
        self.wake_ups.noted.iter().zip(0..).filter_map(noted)
    }

    /// Waits for a wake-up of any shard; returns at once if there was one since the last wait.
    pub(super) async fn any(&self) {
        self.wake_ups.any.notified().await;
    }
}

/// Waits until there may be work in one of a shard's skills, and takes the marker that says so: its key, or `None` when
/// `wait` is over.
pub(super) async fn pop_marker(
    queue: &Queue,
    connection: &Servers,
    (shard, skills): (u16, &[u64]),
    wait: Duration,
) -> Result<Option<String>, QueueError> {
    let mut command = redis::cmd("BZPOPMIN");
    for skill in skills {
        command.arg(queue.key(shard, &format!("mk:{skill}")));
    }
    command.arg(wait.as_secs_f64());
    let deadline = wait + queue.config().call_deadline;
    let popped: Option<(String, String, f64)> =
        connection.query_within(shard, &command, Resend::Never, deadline).await?;
    Ok(popped.map(|(key, _, _)| key))
}

/// Gives a marker back, for a worker that has a slot.
pub(super) async fn put_back(connection: &Servers, shard: u16, marker: &str) -> Result<(), QueueError> {
    let mut command = redis::cmd("ZADD");
    command.arg(marker).arg(0).arg("0");
    connection.query(shard, &command, Resend::Safe).await
}

struct Watcher {
    shared: Arc<Shared>,
    shard: u16,
    connection: Servers,
    wake_ups: Arc<WakeUps>,
    wants: watch::Receiver<Wanted>,
    may_claim: watch::Receiver<bool>,
    backoff: Backoff,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let wanted = self.wants.borrow_and_update().clone();
            let told = match wanted {
                Wanted::Nothing => false,
                Wanted::Work { skills } => self.work(&skills).await,
                Wanted::Life { wait } => self.life(wait).await,
            };
            // The wake-up is sent once for each request.
            if told || *self.wants.borrow() == Wanted::Nothing {
                if told {
                    self.wake_ups.note(self.shard);
                }
                if self.wants.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    async fn life(&mut self, wait: Duration) -> bool {
        tokio::time::sleep(wait).await;
        while self.shared.queue.ping_shard(self.shard).await.is_err() {
            self.backoff.wait().await;
        }
        self.backoff.reset();
        true
    }

    /// Whether a marker was there. The feeder asks now and then by itself, so an error is no more than a delay.
    async fn work(&mut self, skills: &[u64]) -> bool {
        if self.may_claim.wait_for(|has_capacity| *has_capacity).await.is_err() {
            return true;
        }
        let marker = match pop_marker(
            &self.shared.queue,
            &self.connection,
            (self.shard, skills),
            jittered(POLL),
        )
        .await
        {
            Ok(marker) => marker,
            Err(error) => {
                tracing::debug!(queue.shard = self.shard, %error, "cannot wait for jobs, trying again");
                self.backoff.wait().await;
                return false;
            }
        };
        self.backoff.reset();
        let Some(marker) = marker else { return false };
        if !*self.may_claim.borrow()
            && let Err(error) = put_back(&self.connection, self.shard, &marker).await
        {
            tracing::debug!(queue.shard = self.shard, %error, "a marker is lost, the poll will do");
        }
        true
    }
}
