//! The listeners of this process, and its one subscription for all of them.
//!
//! A listener has a buffer of its own: one that does not take its events is ended, and the others never wait for it.
//! After the subscription was lost, and every half a minute, what was missed is read from the tenants' streams; where
//! that is no longer there, listeners are told by a `reset`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs::clock::SharedClock;
use jobs::queue::QueueError;
use jobs::redis::{RedisClient, Resend, SubscriptionEvent, cmd};
use jobs::tenant::{KbId, TenantId};
use jobs::{BatchId, DocumentId, JobId};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::{CHANNEL, stream_of};
use crate::cache::fault;
use crate::error::{FaultKind, StoreError};
use crate::model::{Event, EventId, EventKind};

/// How long the events of a tenant are kept after its last listener.
const STREAM_KEPT: Duration = Duration::from_secs(3_600);
/// How often streams are looked after.
const LOOK: Duration = Duration::from_secs(30);
/// Events that a listener may leave waiting.
const BUFFER: usize = 256;
/// How long a new listener waits for the subscription.
const PATIENCE: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Makes the stream if there is none, keeps it for a while longer, and says where it begins and ends.
const OPEN: &str = "
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XADD', KEYS[1], '*', 'o', '') end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1],
        redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]}";

/// What a listener follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Everything in the tenant.
    Tenant,
    /// Everything in a knowledge base.
    Kb(KbId),
    /// The documents of a batch.
    Batch(BatchId),
    /// One document of a knowledge base.
    Document(KbId, DocumentId),
    /// One job.
    Job(JobId),
}

impl Topic {
    fn has(&self, event: &Event) -> bool {
        match self {
            Self::Tenant => true,
            Self::Kb(kb) => event.kb_id.as_ref() == Some(kb),
            Self::Batch(batch) => event.batch_id == Some(*batch),
            Self::Document(kb, document) => {
                event.kb_id.as_ref() == Some(kb) && event.document_id.as_ref() == Some(document)
            }
            Self::Job(job) => event.job_id == Some(*job),
        }
    }
}

/// How many listeners a process has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Of all tenants together.
    pub total: usize,
    /// Of one tenant.
    pub per_tenant: usize,
}

/// What a new listener asks for.
#[derive(Debug, Clone)]
pub struct Follow {
    /// What it follows.
    pub topic: Topic,
    /// The only knowledge base that its credentials reach, if they are limited to one.
    pub only_kb: Option<KbId>,
    /// The last event that it has seen.
    pub after: Option<EventId>,
    /// How many listeners there may be.
    pub limits: ListenerLimits,
}

impl Follow {
    fn wants(&self, event: &Event) -> bool {
        let reaches = self.only_kb.is_none() || event.kb_id == self.only_kb;
        event.kind == EventKind::Reset || (reaches && self.topic.has(event))
    }
}

/// Why there is no new listener.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// The tenant has as many as it may have.
    #[error("the tenant has {0} listeners, which is as many as it may have")]
    TenantFull(usize),
    /// The process has as many as it may have.
    #[error("there are {0} listeners, which is as many as there may be")]
    Full(usize),
    /// Redis does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An event, as it goes to all listeners.
#[derive(Debug)]
pub struct Told {
    /// Its place.
    pub id: EventId,
    /// What happened.
    pub event: Event,
    /// The event as JSON.
    pub text: String,
}

/// Why a listener gets no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It left too many events waiting.
    TooSlow,
}

/// One listener. It leaves when it is dropped.
#[derive(Debug)]
pub struct Listener {
    /// The event after which it goes on: what comes is later.
    pub start: EventId,
    /// Whether events are missing between the one that it has seen last and [`Listener::start`].
    pub has_gap: bool,
    backlog: VecDeque<Arc<Told>>,
    events: mpsc::Receiver<Arc<Told>>,
    _place: Place,
}

impl Listener {
    /// The next event, or why there is none.
    ///
    /// # Errors
    /// When the listener was ended. It can follow again from the last event that it got.
    pub async fn next(&mut self) -> Result<Arc<Told>, End> {
        if let Some(told) = self.backlog.pop_front() {
            return Ok(told);
        }
        loop {
            let told = self.events.recv().await.ok_or(End::TooSlow)?;
            if told.event.kind == EventKind::Reset {
                // The stream may have begun anew, with ids from before the start.
                self.start = EventId::FIRST;
                return Ok(told);
            }
            // What came while the listener began is in the backlog, or before its start.
            if told.id > self.start {
                return Ok(told);
            }
        }
    }

    /// The events that it got back after a pause, without waiting for more.
    #[must_use]
    pub fn backlog(self) -> VecDeque<Arc<Told>> {
        self.backlog
    }
}

/// A listener's place in the hub.
#[derive(Debug)]
struct Place {
    hub: Hub,
    tenant: TenantId,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.state().leave(&self.tenant, self.number);
    }
}

/// All listeners of this process.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

struct Inner {
    /// `None` when nothing is published.
    redis: Option<RedisClient>,
    clock: SharedClock,
    state: Mutex<State>,
    is_live: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    tenants: HashMap<TenantId, Tenant>,
    count: usize,
    last_number: u64,
    /// Whether the task that has the subscription runs.
    runs: bool,
}

/// The listeners of one tenant.
struct Tenant {
    /// The last event that they were told; [`EventId::FIRST`] while that is not known.
    last: EventId,
    listeners: HashMap<u64, Entry>,
}

struct Entry {
    follow: Follow,
    events: mpsc::Sender<Arc<Told>>,
}

impl State {
    fn leave(&mut self, tenant: &TenantId, number: u64) {
        let Some(found) = self.tenants.get_mut(tenant) else { return };
        if found.listeners.remove(&number).is_some() {
            self.count -= 1;
        }
        if found.listeners.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// Passes an event on to those who want it. Who does not take it leaves.
    fn tell(&mut self, tenant: &TenantId, told: &Arc<Told>) {
        let Some(found) = self.tenants.get_mut(tenant).filter(|found| found.last < told.id) else { return };
        found.last = told.id;
        let before = found.listeners.len();
        found.listeners.retain(|_, entry| {
            !entry.follow.wants(&told.event) || entry.events.try_send(Arc::clone(told)).is_ok()
        });
        self.count -= before - found.listeners.len();
        if found.listeners.is_empty() {
            self.tenants.remove(tenant);
        }
    }
}

impl Hub {
    pub(crate) fn new(redis: Option<RedisClient>, clock: SharedClock) -> Self {
        let (state, is_live) = (Mutex::default(), watch::Sender::new(false));
        Self(Arc::new(Inner { redis, clock, state, is_live }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters and map are changed together and without a panic in between.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_listeners(&self, tenant: &TenantId) -> bool {
        self.state().tenants.contains_key(tenant)
    }

    pub(super) async fn follow(&self, tenant: &TenantId, follow: Follow) -> Result<Listener, Missed> {
        let Some(redis) = &self.0.redis else { return Err(no_answer("events.follow").into()) };
        // Before anything is read, so that no event is between what is read and what is told.
        let (place, events) = self.enter(redis, tenant, follow.clone())?;
        let mut is_live = self.0.is_live.subscribe();
        let live = tokio::time::timeout(PATIENCE, is_live.wait_for(|live| *live)).await;
        let arrives = live.is_ok_and(|live| live.is_ok());
        if !arrives {
            return Err(no_answer("events.follow").into());
        }
        let (first, last) = open(redis, tenant).await.map_err(|error| fault("events.open", error))?;
        if let Some(found) = self.state().tenants.get_mut(tenant) {
            found.last = found.last.max(last);
        }
        let (mut has_gap, mut backlog) = (false, VecDeque::new());
        match follow.after {
            Some(after) if after < first || after > last => has_gap = true,
            Some(after) if after < last => {
                let read =
                    read(redis, tenant, after, last).await.map_err(|error| fault("events.read", error))?;
                backlog = read.into_iter().filter(|told| follow.wants(&told.event)).map(Arc::new).collect();
            }
            Some(_) | None => {}
        }
        Ok(Listener { start: last, has_gap, backlog, events, _place: place })
    }

    /// Gives a listener its place, and starts the subscription if it is the first.
    fn enter(
        &self,
        redis: &RedisClient,
        tenant: &TenantId,
        follow: Follow,
    ) -> Result<(Place, mpsc::Receiver<Arc<Told>>), Missed> {
        let mut state = self.state();
        let ListenerLimits { total, per_tenant } = follow.limits;
        if state.tenants.get(tenant).is_some_and(|found| found.listeners.len() >= per_tenant) {
            return Err(Missed::TenantFull(per_tenant));
        }
        if state.count >= total {
            return Err(Missed::Full(total));
        }
        state.count += 1;
        state.last_number += 1;
        let number = state.last_number;
        let (sender, events) = mpsc::channel(BUFFER);
        let found = state.tenants.entry(tenant.clone());
        let found = found.or_insert_with(|| Tenant { last: EventId::FIRST, listeners: HashMap::default() });
        found.listeners.insert(number, Entry { follow, events: sender });
        if !std::mem::replace(&mut state.runs, true) {
            tokio::spawn(self.clone().run(redis.clone()));
        }
        drop(state);
        Ok((Place { hub: self.clone(), tenant: tenant.clone(), number }, events))
    }

    /// Has the subscription for as long as there are listeners.
    async fn run(self, redis: RedisClient) {
        let mut subscription = redis.subscribe(CHANNEL);
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        loop {
            tokio::select! {
                event = subscription.next() => match event {
                    SubscriptionEvent::Live => {
                        self.catch_up(&redis).await;
                        self.0.is_live.send_replace(true);
                    }
                    SubscriptionEvent::Message(message) => self.pass_on(&message),
                    SubscriptionEvent::Lost => {
                        self.0.is_live.send_replace(false);
                        tracing::warn!("the events of tenants do not arrive: connecting again");
                    }
                    SubscriptionEvent::Unreachable(error) => {
                        let error = jobs::error::report(&error);
                        tracing::warn!(error, "the events of tenants do not arrive");
                    }
                },
                _ = looks.tick() => {
                    if self.rests() {
                        return;
                    }
                    self.catch_up(&redis).await;
                }
            }
        }
    }

    /// Whether there are no listeners: then the subscription ends, and begins again with the next one.
    fn rests(&self) -> bool {
        let mut state = self.state();
        if !state.tenants.is_empty() {
            return false;
        }
        state.runs = false;
        self.0.is_live.send_replace(false);
        true
    }

    fn pass_on(&self, message: &[u8]) {
        let Some((tenant, id, text)) = parts(message) else { return };
        if !self.has_listeners(&tenant) {
            return;
        }
        let Some(told) = told(id, text) else { return };
        self.state().tell(&tenant, &Arc::new(told));
    }

    /// Tells listeners what was published while nothing arrived, and keeps their streams.
    async fn catch_up(&self, redis: &RedisClient) {
        let tenants: Vec<_> = self.state().tenants.keys().cloned().collect();
        for tenant in tenants {
            if let Err(error) = self.catch_up_with(redis, &tenant).await {
                tracing::warn!(error = jobs::error::report(&error), "the events of a tenant cannot be read");
                self.reset(&tenant, None);
            }
        }
    }

    async fn catch_up_with(&self, redis: &RedisClient, tenant: &TenantId) -> Result<(), QueueError> {
        let (first, last) = open(redis, tenant).await?;
        let Some(seen) = self.state().tenants.get(tenant).map(|found| found.last) else { return Ok(()) };
        if seen == EventId::FIRST || seen == last {
            return Ok(());
        }
        if seen < first || seen > last {
            self.reset(tenant, Some(last));
            return Ok(());
        }
        for told in read(redis, tenant, seen, last).await? {
            self.state().tell(tenant, &Arc::new(told));
        }
        Ok(())
    }

    /// Tells all listeners of a tenant that events are missing; the next one is after `last`, if that is known.
    fn reset(&self, tenant: &TenantId, last: Option<EventId>) {
        let mut state = self.state();
        let Some(found) = state.tenants.get_mut(tenant) else { return };
        let id = last.unwrap_or(found.last);
        let event = Event::reset(self.0.clock.now(), "some events did not arrive");
        let text = serde_json::to_string(&event).unwrap_or_default();
        // Told whatever was told before: the stream may have begun anew.
        found.last = EventId::FIRST;
        state.tell(tenant, &Arc::new(Told { id, event, text }));
    }
}

/// Where a tenant's stream begins and ends.
async fn open(redis: &RedisClient, tenant: &TenantId) -> Result<(EventId, EventId), QueueError> {
    let (key, mut command) = (stream_of(tenant), cmd("EVAL"));
    command.arg(OPEN).arg(1).arg(&key).arg(STREAM_KEPT.as_millis().to_string());
    let ends: (String, String) = redis.query_within(&key, &command, Resend::Safe, CALL_LIMIT).await?;
    let id = |text: String| text.parse().map_err(|_| QueueError::Answer("events"));
    Ok((id(ends.0)?, id(ends.1)?))
}

type Fields = HashMap<String, String>;

/// The events after one and up to another.
async fn read(
    redis: &RedisClient,
    tenant: &TenantId,
    after: EventId,
    last: EventId,
) -> Result<Vec<Told>, QueueError> {
    let (key, mut command) = (stream_of(tenant), cmd("XRANGE"));
    command.arg(&key).arg(format!("({after}")).arg(last.to_string());
    let rows: Vec<(String, Fields)> = redis.query_within(&key, &command, Resend::Safe, CALL_LIMIT).await?;
    let row = |(id, mut fields): (String, Fields)| told(id.parse().ok()?, &fields.remove("e")?);
    Ok(rows.into_iter().filter_map(row).collect())
}

/// A published message: tenant, id, event.
fn parts(message: &[u8]) -> Option<(TenantId, EventId, &str)> {
    let (tenant, rest) = str::from_utf8(message).ok()?.split_once(' ')?;
    let (id, text) = rest.split_once(' ')?;
    Some((tenant.parse().ok()?, id.parse().ok()?, text))
}

fn told(id: EventId, text: &str) -> Option<Told> {
    let event = serde_json::from_str(text).ok()?;
    Some(Told { id, event, text: text.to_owned() })
}

fn no_answer(operation: &'static str) -> StoreError {
    StoreError::of(FaultKind::Unavailable, operation, std::io::Error::other("events do not arrive"))
}
