//! What a handler gets for the job that it runs.
//!
//! Values that the embedding program shares with its handlers.

use std::any::{Any, TypeId, type_name};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use jobs::clock::SharedClock;
use jobs::envelope::{EnqueueOptions, Envelope, StampedJob, Stamper, TraceParent, Verified};
use jobs::plan::{Limits, Plans};
use jobs::queue::{OnFailure, OpenGroup};
use jobs::tenant::{KbId, TenantContext};
use jobs::{BatchId, GroupId, Job, JobError, JobId, Lane};
use secrecy::SecretString;
use stores::TenantStores;
use stores::model::{DocumentFault, Event, EventKind, Progress, ProgressReport, StageReport};
use tokio_util::sync::CancellationToken;

use crate::compute::{Compute, TenantCompute};

/// How far apart the reports of one job are that are kept and told; the last one, when all is done, is always.
const REPORTS_APART: TimeDelta = TimeDelta::seconds(1);

/// Everything a handler may touch: the stores of one tenant, the values that the program gave its worker, and the
/// jobs that it enqueues.
pub struct JobContext {
    tenant: TenantContext,
    stores: TenantStores,
    compute: Compute,
    state: Arc<State>,
    plans: Arc<Plans>,
    clock: SharedClock,
    stamper: Stamper,
    cancel: CancellationToken,
    job: JobFacts,
    outputs: Mutex<Outputs>,
    reported: Mutex<Option<Reported>>,
    nothing_to_do: OnceLock<&'static str>,
}

/// The last report of a job that was kept.
#[derive(Debug, Clone, Copy)]
struct Reported {
    at: DateTime<Utc>,
    is_whole: bool,
}

/// Facts about the job that runs.
struct JobFacts {
    id: JobId,
    /// The signed envelope, if there is one that may be remembered.
    wire: Option<Arc<str>>,
    kind: String,
    attempt: u32,
    created_at: DateTime<Utc>,
    parent: Option<JobId>,
    batch: Option<BatchId>,
    lane: Lane,
    traceparent: TraceParent,
}

/// What the job leaves on completion: children and a group, enqueued in the same step that acknowledges it.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) children: Vec<StampedJob>,
    pub(crate) group: Option<OpenGroup>,
    /// Those of the children that the catalog remembers until they have ended.
    kept: HashSet<JobId>,
}

impl Outputs {
    /// Number of children so far, which is the number of the next one.
    fn count(&self) -> usize {
        self.children.len() + usize::from(self.group.is_some())
    }

    /// The children that the catalog remembers, with their signed bytes.
    pub(crate) fn kept(&self) -> Vec<(JobId, &str)> {
        let kept = self.children.iter().filter(|child| self.kept.contains(&child.id()));
        kept.map(|child| (child.id(), child.wire())).collect()
    }
}

/// What all jobs of a worker share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) compute: Compute,
    pub(crate) state: Arc<State>,
    pub(crate) clock: SharedClock,
    pub(crate) stamper: Stamper,
    pub(crate) stores: stores::Stores,
    pub(crate) plans: Arc<Plans>,
}

impl JobContext {
    pub(crate) fn new(shared: &Shared, verified: &Verified, attempt: u32, cancel: CancellationToken) -> Self {
        let Envelope { id, meta, .. } = &verified.envelope;
        Self {
            tenant: verified.tenant.clone(),
            stores: shared.stores.scoped(&verified.tenant),
            compute: shared.compute.clone(),
            state: Arc::clone(&shared.state),
            plans: Arc::clone(&shared.plans),
            clock: shared.clock.clone(),
            stamper: shared.stamper.clone(),
            cancel,
            job: JobFacts {
                id: *id,
                wire: None,
                kind: verified.envelope.kind.clone(),
                attempt,
                created_at: meta.created_at,
                parent: meta.parent,
                batch: meta.batch,
                lane: meta.lane,
                traceparent: meta.traceparent,
            },
            outputs: Mutex::default(),
            reported: Mutex::default(),
            nothing_to_do: OnceLock::new(),
        }
    }

    /// Lets the job be remembered, see [`JobContext::keep`].
    pub(crate) fn of_wire(mut self, wire: Arc<str>) -> Self {
        self.job.wire = Some(wire);
        self
    }

    /// What the job enqueues becomes a child of this span.
    pub(crate) fn in_trace(mut self, trace: TraceParent) -> Self {
        self.job.traceparent = trace;
        self
    }

    /// The tenant and actor that the job acts for, as verified from its stamp.
    #[must_use]
    pub fn tenant(&self) -> &TenantContext {
        &self.tenant
    }

    /// The knowledge base that the job is about.
    ///
    /// # Errors
    /// When the stamp names none.
    pub fn kb_id(&self) -> Result<&KbId, JobError> {
        let missing = || JobError::fail("kb_missing", "the job's stamp names no knowledge base");
        self.tenant.kb_id().ok_or_else(missing)
    }

    /// The stores of the job's tenant, and of no other.
    #[must_use]
    pub fn stores(&self) -> &TenantStores {
        &self.stores
    }

    /// The limits of the tenant's plan with its own on top, as they are now. Reads the catalog.
    ///
    /// # Errors
    /// When the catalog is away.
    pub async fn limits(&self) -> Result<Limits, JobError> {
        let tenant = self.stores.catalog().tenant().await?;
        Ok(tenant.map(|tenant| self.plans.limits(&tenant.plan, &tenant.limits)).unwrap_or_default())
    }

    /// Where to run work that keeps a core busy for more than a millisecond: done on the handler's own thread, it
    /// would delay other jobs and the lease of this one.
    #[must_use]
    pub fn compute(&self) -> TenantCompute {
        self.compute.of(self.tenant.tenant_id())
    }

    /// A value that the embedding program gave the worker, by its type ([`crate::WorkerBuilder::state`]).
    ///
    /// # Errors
    /// When the worker was started without a `T`. The job is tried again.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<&T, JobError> {
        self.state.get()
    }

    /// Opens a secret of the tenant that was hidden with [`Stamper::seal`] for `purpose`; `None` when it was not, or
    /// when its key is not among the worker's any more.
    #[must_use]
    pub fn unseal(&self, purpose: &str, sealed: &str) -> Option<SecretString> {
        self.stamper.unseal(&self.tenant, purpose, sealed)
    }

    /// The job that runs.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.job.id
    }

    /// The job that enqueued this one, if a job did.
    #[must_use]
    pub fn parent(&self) -> Option<JobId> {
        self.job.parent
    }

    /// Records why the job completes without having run.
    pub(crate) fn had_nothing_to_do(&self, why: &'static str) {
        let _ = self.nothing_to_do.set(why);
    }

    pub(crate) fn nothing_to_do(&self) -> Option<&'static str> {
        self.nothing_to_do.get().copied()
    }

    /// Which attempt this is, 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// Now, by the worker's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Cancelled when the work is to stop: the lease is lost, the job was cancelled, or the worker shuts down.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Enqueues a job of the same tenant, and of the same batch, when this one completes, in the same step. Returns
    /// its id, which is the same whenever this job runs again.
    ///
    /// # Errors
    /// When the actor lacks the permission that the child needs.
    pub fn enqueue<J: Job>(&self, child: &J) -> Result<JobId, JobError> {
        self.enqueue_of(self.job.batch, child)
    }

    fn enqueue_of<J: Job>(&self, batch: Option<BatchId>, child: &J) -> Result<JobId, JobError> {
        let id = self.child_id::<J>(self.outputs().count());
        self.enqueue_as(id, batch, child)
    }

    fn enqueue_as<J: Job>(&self, id: JobId, batch: Option<BatchId>, child: &J) -> Result<JobId, JobError> {
        let child = self.child(child, id, (batch, None))?;
        self.outputs().children.push(child);
        Ok(id)
    }

    /// As [`JobContext::enqueue`], and the catalog remembers the child until it has ended: a queue that loses its data
    /// gets the child again. Other children are found again through what they work on, as the parts of a document are.
    ///
    /// # Errors
    /// As for [`JobContext::enqueue`].
    pub fn enqueue_kept<J: Job>(&self, child: &J) -> Result<JobId, JobError> {
        self.enqueue_kept_of(self.job.batch, child)
    }

    /// As [`JobContext::enqueue_kept`], for work on a document of `batch`, of which this job need not be.
    ///
    /// # Errors
    /// As for [`JobContext::enqueue`].
    pub fn enqueue_kept_of<J: Job>(&self, batch: Option<BatchId>, child: &J) -> Result<JobId, JobError> {
        let id = self.enqueue_of(batch, child)?;
        self.outputs().kept.insert(id);
        Ok(id)
    }

    /// As [`JobContext::enqueue_kept_of`], as the child [`JobContext::child_called`] `name`.
    ///
    /// # Errors
    /// As for [`JobContext::enqueue`].
    pub fn enqueue_kept_as<J: Job>(
        &self,
        name: &str,
        batch: Option<BatchId>,
        child: &J,
    ) -> Result<JobId, JobError> {
        let id = self.enqueue_as(self.child_called::<J>(name), batch, child)?;
        self.outputs().kept.insert(id);
        Ok(id)
    }

    /// The id of the child of this type that is called `name`. Children without names are called by their number, which
    /// an attempt that meets other data gives to others.
    #[must_use]
    pub fn child_called<J: Job>(&self, name: &str) -> JobId {
        self.child_id::<J>(name)
    }

    /// Lets the catalog remember this job until what it works on has ended, as it does with jobs of requests. For a job
    /// that takes over a document from the job that was accepted. Writes at once.
    ///
    /// # Errors
    /// When the catalog is away.
    pub async fn keep(&self) -> Result<(), JobError> {
        if let Some(wire) = &self.job.wire {
            self.stores.catalog().unfinished_put(&[(self.job.id, wire)], self.now()).await?;
        }
        Ok(())
    }

    /// Enqueues `members` when this job completes, and `continuation` when the last of them is done.
    ///
    /// # Errors
    /// As for [`JobContext::enqueue`], and when the job opened a group already.
    pub fn open_group<J: Job, K: Job>(&self, members: &[J], continuation: &K) -> Result<(), JobError> {
        let before = self.outputs().count();
        let members = members.iter().enumerate().map(|(at, member)| (before + at, member));
        self.open_group_of(members, continuation)
    }

    /// As [`JobContext::open_group`] with members that have numbers: a member has the same id however often the job
    /// opens the group, whichever other members it has each time. No other child of the job may have one of the
    /// numbers.
    ///
    /// # Errors
    /// As for [`JobContext::open_group`].
    pub fn open_group_of<'a, J: Job + 'a, K: Job>(
        &self,
        members: impl IntoIterator<Item = (usize, &'a J)>,
        continuation: &K,
    ) -> Result<(), JobError> {
        let id = GroupId::of(self.job.id);
        let mut outputs = self.outputs();
        if outputs.group.is_some() {
            return Err(JobError::fail("group_open", "a job may open one group"));
        }
        for (number, member) in members {
            let member = self.child(member, self.child_id::<J>(number), (self.job.batch, Some(id)))?;
            outputs.children.push(member);
        }
        let continuation = self.child(continuation, self.job.id.continuation(), (self.job.batch, None))?;
        let (continuation, on_failure) = (continuation.into(), OnFailure::Continue);
        outputs.group = Some(OpenGroup { id, continuation, on_failure });
        Ok(())
    }

    /// Reports how far the job is: `done` of `total` steps, and what is being done, in a few words that the tenant's
    /// members may read. The job shows it for ten minutes, and listeners are told. Does not wait: report as often as
    /// you like, about one report a second is kept. A report may be lost.
    pub fn progress(&self, done: u64, total: u64, message: &str) {
        self.report(done, total, message, || None);
    }

    /// As [`JobContext::progress`], of a part of a document's way into the graph, which the document shows too.
    pub fn stage(&self, done: u64, total: u64, part: StageReport) {
        let message = part.stage.as_str();
        self.report(done, total, message, || Some(part));
    }

    fn report(&self, done: u64, total: u64, message: &str, stage: impl FnOnce() -> Option<StageReport>) {
        let (now, is_whole) = (self.clock.now(), done >= total);
        {
            // A moment and a flag are sound whatever panicked meanwhile.
            let mut reported = self.reported.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_due =
                reported.is_none_or(|last| now - last.at >= REPORTS_APART || (is_whole && !last.is_whole));
            if !is_due {
                return;
            }
            *reported = Some(Reported { at: now, is_whole });
        }
        let message = message[..message.floor_char_boundary(Progress::MESSAGE_BYTES)].to_owned();
        self.stores.live().report(ProgressReport {
            job: self.job.id,
            kind: self.job.kind.clone(),
            kb: self.tenant.kb_id().cloned(),
            progress: Progress { done: done.min(total), total, message, at: now },
            stage: stage(),
        });
    }

    /// Tells listeners that the job is in another state.
    pub(crate) fn tell_state(&self, state: &str, error: Option<(&str, &str)>) {
        let error =
            error.map(|(code, detail)| DocumentFault { code: code.to_owned(), detail: detail.to_owned() });
        self.stores.live().tell(Event {
            kb_id: self.tenant.kb_id().cloned(),
            job_id: Some(self.job.id),
            job_type: Some(self.job.kind.clone()),
            state: Some(state.to_owned()),
            attempt: Some(self.job.attempt),
            error,
            ..Event::new(EventKind::Job, self.clock.now())
        });
    }

    /// The id of the child called `name`, which may be its number.
    fn child_id<J: Job>(&self, name: impl Display) -> JobId {
        JobId::derived(self.job.created_at, &format!("{}/{name}/{}", self.job.id, J::TYPE))
    }

    fn child<J: Job>(
        &self,
        child: &J,
        id: JobId,
        (batch, group): (Option<BatchId>, Option<GroupId>),
    ) -> Result<StampedJob, JobError> {
        let options = EnqueueOptions {
            id: Some(id),
            traceparent: Some(self.job.traceparent),
            parent: Some(self.job.id),
            lane: Some(self.job.lane),
            batch,
            group,
            ..EnqueueOptions::default()
        };
        let refused = |error| JobError::fail("child_refused", jobs::error::report(&error));
        self.stamper.stamp(&self.tenant, child, options).map_err(refused)
    }

    pub(crate) fn take_outputs(&self) -> Outputs {
        std::mem::take(&mut *self.outputs())
    }

    fn outputs(&self) -> std::sync::MutexGuard<'_, Outputs> {
        // A panic while the lock is held leaves a list of whole jobs, so the data is sound.
        self.outputs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One value of each type, shared by all jobs of a worker: connection pools, clients, configuration. Never a
/// tenant's data, because jobs of every tenant see the same values.
#[derive(Default)]
pub(crate) struct State {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl State {
    /// Adds a value, in place of one of the same type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// The value of type `T`. A missing value is a fault of the worker's setup and not of the job, so the error is
    /// one that is retried.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Result<&T, JobError> {
        let value = self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref());
        value.ok_or_else(|| JobError::retry(format!("the worker was started without a {}", type_name::<T>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_type_and_a_missing_one_is_named() {
        let mut state = State::default();
        state.insert(7_u8);
        state.insert(8_u8);
        assert_eq!(*state.get::<u8>().unwrap(), 8);
        let missing = jobs::error::report(&state.get::<u16>().unwrap_err());
        assert!(missing.contains("u16"), "{missing}");
    }
}
