//! Publishing events, and keeping reports: behind the caller's back, several at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jobs::JobId;
use jobs::clock::SharedClock;
use jobs::queue::QueueError;
use jobs::redis::{RedisClient, Resend, cmd};
use jobs::tenant::TenantId;
use tokio::sync::{mpsc, oneshot};

use super::{CHANNEL, PROGRESS_KEPT, document_key, job_key, part_field, stream_of};
use crate::cache::Cache;
use crate::model::{Event, EventKind, Progress, ProgressReport};
use crate::ports::StoreResult;

/// Events and reports that wait for their turn. What comes when it is full is lost, and told as such.
const LINE: usize = 20_000;
/// How many are sent in one turn, and how many events in one call.
const TURN: usize = 2_000;
const CALL_EVENTS: usize = 200;
/// The pause between two turns: what comes meanwhile goes together.
const REST: Duration = Duration::from_millis(50);
/// The pause before events that were lost are told, when Redis was away.
const AWAY: Duration = Duration::from_secs(1);
/// How many tenants are told at the same time.
const AT_ONCE: usize = 32;
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// About how many events of a tenant are kept for listeners that come back.
const KEPT: u32 = 2_000;

/// Adds events to a stream that exists, and publishes each with its id. A stream that does not exist has no listeners.
const PUBLISH: &str = "
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for at = 4, #ARGV do
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[at])
    redis.call('PUBLISH', ARGV[1], ARGV[2] .. ' ' .. id .. ' ' .. ARGV[at])
end
return #ARGV - 3";

enum Said {
    Event(TenantId, Box<Event>),
    Report(TenantId, Arc<dyn Cache>, Box<ProgressReport>),
    Flush(oneshot::Sender<()>),
}

/// The line to the task that publishes. The task ends with the last clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    line: mpsc::Sender<Said>,
    lost: Lost,
}

/// Tenants whose listeners have to be told that events are missing.
#[derive(Clone, Default)]
struct Lost(Arc<Mutex<BTreeSet<TenantId>>>);

impl Lost {
    fn tenants(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        // Each change is one call on the set, so it is sound even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// Starts the task. Without Redis there are reports and no listeners.
    pub(crate) fn start(redis: Option<RedisClient>, clock: SharedClock) -> Self {
        let (line, said) = mpsc::channel(LINE);
        let lost = Lost::default();
        let task = Task { redis, clock, lost: lost.clone() };
        tokio::spawn(task.run(said));
        Self { line, lost }
    }

    pub(crate) fn tell(&self, tenant: &TenantId, event: Event) {
        self.say(tenant, Said::Event(tenant.clone(), Box::new(event)));
    }

    pub(super) fn report(&self, tenant: &TenantId, cache: &Arc<dyn Cache>, report: ProgressReport) {
        self.say(tenant, Said::Report(tenant.clone(), Arc::clone(cache), Box::new(report)));
    }

    fn say(&self, tenant: &TenantId, said: Said) {
        if self.line.try_send(said).is_err() {
            self.lost.tenants().insert(tenant.clone());
        }
    }

    /// Waits until everything that was said before is published, or cannot be.
    pub(crate) async fn flush(&self) {
        let (done, published) = oneshot::channel();
        if self.line.send(Said::Flush(done)).await.is_ok() {
            let _ = published.await;
        }
    }
}

struct Task {
    redis: Option<RedisClient>,
    clock: SharedClock,
    lost: Lost,
}

impl Task {
    async fn run(self, mut said: mpsc::Receiver<Said>) {
        let mut turn = Vec::new();
        loop {
            let has_lost = !self.lost.tenants().is_empty();
            tokio::select! {
                count = said.recv_many(&mut turn, TURN) => if count == 0 { return },
                () = tokio::time::sleep(AWAY), if has_lost => {}
            }
            self.publish(std::mem::take(&mut turn)).await;
            if said.is_empty() {
                tokio::time::sleep(REST).await;
            }
        }
    }

    async fn publish(&self, said: Vec<Said>) {
        let mut events: BTreeMap<TenantId, Vec<Event>> = BTreeMap::new();
        let mut reports: BTreeMap<JobId, (Arc<dyn Cache>, Box<ProgressReport>)> = BTreeMap::new();
        let mut flushed = Vec::new();
        for tenant in std::mem::take(&mut *self.lost.tenants()) {
            let reset = Event::reset(self.clock.now(), "some events could not be published");
            events.insert(tenant, vec![reset]);
        }
        for said in said {
            match said {
                Said::Event(tenant, event) => events.entry(tenant).or_default().push(*event),
                Said::Report(tenant, cache, report) => {
                    events.entry(tenant).or_default().push(event_of(&report));
                    // Of several reports about one job only the last is kept.
                    reports.insert(report.job, (cache, report));
                }
                Said::Flush(done) => flushed.push(done),
            }
        }
        // Reports first: a listener that is told of one may ask for it.
        let kept = stream::iter(reports.into_values());
        kept.for_each_concurrent(AT_ONCE, |(cache, report)| keep(cache, report)).await;
        if let Some(redis) = &self.redis {
            let told = stream::iter(events);
            told.for_each_concurrent(AT_ONCE, |(tenant, events)| self.tell(redis, tenant, events)).await;
        }
        for done in flushed {
            let _ = done.send(());
        }
    }

    async fn tell(&self, redis: &RedisClient, tenant: TenantId, events: Vec<Event>) {
        if let Err(error) = publish(redis, &tenant, &events).await {
            let error = jobs::error::report(&error);
            tracing::debug!(tenant.id = %tenant, error, "events were not published");
            self.lost.tenants().insert(tenant);
        }
    }
}

async fn publish(redis: &RedisClient, tenant: &TenantId, events: &[Event]) -> Result<(), QueueError> {
    let key = stream_of(tenant);
    // Most tenants have no listener most of the time, and need no event to be written.
    let has_stream = cmd("EXISTS").arg(&key).to_owned();
    if !redis.query_within::<bool>(&key, &has_stream, Resend::Safe, CALL_LIMIT).await? {
        return Ok(());
    }
    for events in events.chunks(CALL_EVENTS) {
        let mut command = cmd("EVAL");
        command.arg(PUBLISH).arg(1).arg(&key).arg(CHANNEL).arg(tenant.as_str()).arg(KEPT);
        for event in events {
            // No field of an event can fail to be written.
            command.arg(serde_json::to_string(event).unwrap_or_default());
        }
        // An event says what is so: told twice is told once.
        redis.query_within::<i64>(&key, &command, Resend::Safe, CALL_LIMIT).await?;
    }
    Ok(())
}

fn event_of(report: &ProgressReport) -> Event {
    let ProgressReport { job, kind, kb, progress, stage } = report;
    let stage = stage.as_ref();
    Event {
        kb_id: kb.clone(),
        job_id: Some(*job),
        job_type: Some(kind.clone()),
        document_id: stage.map(|stage| stage.document.clone()),
        revision: stage.map(|stage| stage.revision),
        batch_id: stage.and_then(|stage| stage.batch),
        stage: stage.map(|stage| stage.stage),
        done: Some(progress.done),
        total: Some(progress.total),
        message: Some(progress.message.clone()),
        ..Event::new(EventKind::Progress, progress.at)
    }
}

/// Keeps a report where a job and a document are shown. A report may be lost: another one follows, or the end.
async fn keep(cache: Arc<dyn Cache>, report: Box<ProgressReport>) {
    if let Err(error) = put(&*cache, &report).await {
        tracing::debug!(error = jobs::error::report(&error), "progress was not stored");
    }
}

async fn put(cache: &dyn Cache, report: &ProgressReport) -> StoreResult<()> {
    let Progress { done, total, .. } = report.progress;
    let text = serde_json::to_string(&report.progress).unwrap_or_default();
    cache.put(&job_key(report.job), &text, PROGRESS_KEPT).await?;
    if let (Some(stage), Some(kb)) = (&report.stage, &report.kb) {
        let key = document_key(kb, &stage.document, stage.revision);
        let field = part_field(stage.stage, stage.part);
        cache.put_field(&key, &field, &format!("{done}/{total}"), PROGRESS_KEPT).await?;
    }
    Ok(())
}
