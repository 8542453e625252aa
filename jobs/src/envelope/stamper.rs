//! From a job and a context to bytes that can be enqueued: one job, or a chain of jobs that run one after the other.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use fair_queue::{Branch, NewJob, PartitionId, Skill};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::to_raw_value;

use super::stamp;
use super::stamp::{Claims, Envelope, Meta, RetryPolicy, StampKeys};
use super::trace::{SPANS, TraceParent};
use super::unique::{Unique, UniquePolicy};
use crate::clock::SharedClock;
use crate::id::{BatchId, GroupId, JobId};
use crate::job::{Job, Lane, Priority};
use crate::tenant::{TenantContext, TenantId};

/// A job that was signed for a tenant: the only thing the queue accepts. Where it goes was read from what was signed,
/// so the two cannot disagree.
#[derive(Debug, Clone)]
pub struct StampedJob {
    tenant: TenantId,
    job: NewJob,
}

impl StampedJob {
    /// The job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job.id
    }

    /// The tenant that the job is stamped for.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.tenant
    }

    /// The job's type.
    #[must_use]
    pub fn kind(&self) -> &str {
        let skill = self.job.skill.as_str();
        skill.rsplit_once('@').map_or(skill, |(kind, _)| kind)
    }

    /// The Open Job Spec queue that it waits in.
    #[must_use]
    pub fn queue(&self) -> &str {
        self.job.skill.queue()
    }

    /// The signed bytes: JSON of a [`super::WireEnvelope`].
    #[must_use]
    pub fn wire(&self) -> &str {
        std::str::from_utf8(&self.job.payload).unwrap_or_default()
    }

    pub(super) fn route(claims: &Claims, envelope: &Envelope, wire: String) -> Self {
        let job = NewJob {
            id: claims.jti,
            partition: PartitionId::clone(&claims.tenant),
            skill: Skill::new(&envelope.kind, envelope.meta.version, &envelope.queue),
            lane: envelope.meta.lane,
            priority: Priority::from_number(envelope.priority),
            // Knowledge bases take turns.
            branch: claims.kb.as_ref().map(|kb| Branch::new(kb.as_str())).unwrap_or_default(),
            due: envelope.scheduled_at,
            group: envelope.meta.group,
            unique: envelope.unique.as_ref().map(UniquePolicy::in_queue),
            payload: wire.into(),
        };
        Self { tenant: claims.tenant.clone(), job }
    }

    pub(crate) fn into_new_job(self) -> NewJob {
        self.job
    }
}

/// So that stamped jobs can be pushed as they are.
impl Borrow<NewJob> for StampedJob {
    fn borrow(&self) -> &NewJob {
        &self.job
    }
}

/// How one job differs from the usual of its type.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnqueueOptions {
    /// The job's id, when it must be the same however often the job is made. Fresh by default.
    pub id: Option<JobId>,
    /// Not before this moment. At once by default.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Not after this moment. Never too late by default.
    pub expires_at: Option<DateTime<Utc>>,
    /// Its lane among the tenant's jobs. By default that of the type.
    pub lane: Option<Lane>,
    /// Its priority among the tenant's jobs of the same lane. By default that of the type.
    pub priority: Option<Priority>,
    /// The trace to continue. A new one by default.
    pub traceparent: Option<TraceParent>,
    /// The group that waits for this job.
    pub group: Option<GroupId>,
    /// The job that enqueued this one.
    pub parent: Option<JobId>,
    /// The batch whose documents it works on.
    pub batch: Option<BatchId>,
    /// The unique key that keeps a duplicate out; by default that of the job type.
    pub unique: Option<Unique>,
}

/// A job could not be stamped.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// The actor may not do this.
    #[error("the job needs the permission {0}")]
    Forbidden(crate::tenant::Permission),
    /// The payload is not JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The payload is too large. Put the data in a store and its id in the payload.
    #[error("the envelope has {size_bytes} bytes, more than {} allowed", Stamper::MAX_WIRE_BYTES)]
    TooLarge {
        /// Size of the envelope.
        size_bytes: usize,
    },
}

/// Signs jobs for tenants.
#[derive(Debug, Clone)]
pub struct Stamper {
    keys: StampKeys,
    clock: SharedClock,
}

impl Stamper {
    /// The largest envelope, in bytes. Payloads hold ids; data belongs in a store.
    pub const MAX_WIRE_BYTES: usize = 64 * 1024;

    /// Signs with the first of `keys`.
    #[must_use]
    pub fn new(keys: StampKeys, clock: SharedClock) -> Self {
        Self { keys, clock }
    }

    /// Stamps `job` for the tenant of `context`. There is no argument for another tenant.
    ///
    /// # Errors
    /// When the actor lacks the permission that the job requires, or the payload is too large.
    pub fn stamp<J: Job>(
        &self,
        context: &TenantContext,
        job: &J,
        options: EnqueueOptions,
    ) -> Result<StampedJob, StampError> {
        if !context.has_permission(J::PERMISSION) {
            return Err(StampError::Forbidden(J::PERMISSION));
        }
        let parent = options.traceparent;
        let envelope = self.envelope(context, job, options)?;
        created(context, &envelope, parent.as_ref());
        self.sign(context, &envelope)
    }

    fn envelope<J: Job>(
        &self,
        context: &TenantContext,
        job: &J,
        options: EnqueueOptions,
    ) -> Result<Envelope, StampError> {
        let EnqueueOptions { id, scheduled_at, expires_at, priority, traceparent, group, .. } = options;
        let EnqueueOptions { parent, batch, lane, unique, .. } = options;
        let now = self.clock.now();
        let payload = to_raw_value(job)?;
        let unique =
            unique.or(J::UNIQUE).map(|unique| unique.policy(J::TYPE, context.kb_id(), payload.get()));
        Ok(Envelope {
            specversion: Envelope::SPECVERSION.to_owned(),
            id: id.unwrap_or_else(|| JobId::generate(now)),
            kind: J::TYPE.to_owned(),
            queue: J::QUEUE.to_owned(),
            args: vec![payload],
            meta: Meta {
                version: J::VERSION,
                traceparent: traceparent.map_or_else(TraceParent::start, |trace| trace.child()),
                created_at: now,
                group,
                parent,
                batch,
                lane: lane.unwrap_or(J::LANE),
            },
            priority: priority.unwrap_or(J::PRIORITY).number(),
            timeout: J::TIMEOUT.as_secs(),
            scheduled_at,
            expires_at,
            retry: RetryPolicy::attempts(J::MAX_ATTEMPTS),
            unique,
        })
    }

    /// Hides a secret of the tenant of `context` for a store: a reader of the store without our keys learns nothing,
    /// and in a row of another tenant it is not opened.
    #[must_use]
    pub fn seal(&self, context: &TenantContext, purpose: &str, secret: &SecretString) -> String {
        self.keys.seal(&of_tenant(context, purpose), secret.expose_secret())
    }

    /// Opens what was hidden for the same tenant and purpose; `None` when it was not, or when its key is not among ours
    /// any more.
    #[must_use]
    pub fn unseal(&self, context: &TenantContext, purpose: &str, sealed: &str) -> Option<SecretString> {
        self.keys.unseal(&of_tenant(context, purpose), sealed).map(SecretString::from)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Stamps an envelope that was verified before under another id: how a schedule fires. The tenant, the
    /// actor and the role stay those of `context`. No person waits for it: its lane is bulk.
    ///
    /// # Errors
    /// As for [`Stamper::stamp`].
    pub fn restamp(
        &self,
        context: &TenantContext,
        envelope: &Envelope,
        id: JobId,
    ) -> Result<StampedJob, StampError> {
        let mut envelope = envelope.clone();
        envelope.id = id;
        envelope.meta.created_at = self.clock.now();
        envelope.meta.traceparent = TraceParent::start();
        envelope.meta.lane = Lane::Bulk;
        created(context, &envelope, None);
        self.sign(context, &envelope)
    }

    fn sign(&self, context: &TenantContext, envelope: &Envelope) -> Result<StampedJob, StampError> {
        let job = to_raw_value(envelope)?;
        let claims = Claims {
            jti: envelope.id,
            kind: envelope.kind.clone(),
            dig: stamp::digest(job.get()),
            tenant: context.tenant_id().clone(),
            kb: context.kb_id().cloned(),
            actor: context.actor().clone(),
            role: context.role(),
            epoch: context.epoch(),
            iat: self.clock.now().timestamp(),
        };
        let wire = stamp::write(&stamp::sign(&self.keys, &claims)?, job.get());
        if wire.len() > Self::MAX_WIRE_BYTES {
            return Err(StampError::TooLarge { size_bytes: wire.len() });
        }
        Ok(StampedJob::route(&claims, envelope, wire))
    }
}

fn of_tenant(context: &TenantContext, purpose: &str) -> String {
    // No tenant's id has a slash.
    format!("{}/{purpose}", context.tenant_id())
}

/// The span in which a job begins: the parent of its attempts.
fn created(context: &TenantContext, envelope: &Envelope, parent: Option<&TraceParent>) {
    let trace = &envelope.meta.traceparent;
    if trace.is_sampled() {
        tracing::trace_span!(
            target: SPANS,
            "create",
            trace.id = trace.trace_id(),
            trace.span = trace.span_id(),
            trace.parent = parent.map(TraceParent::span_id),
            tenant.id = %context.tenant_id(),
            job.id = %envelope.id,
            job.kind = envelope.kind,
            job.queue = envelope.queue,
        );
    }
}

/// Jobs of one tenant, each of which starts when the one before has completed. When one fails for good or is
/// cancelled, the rest is cancelled.
///
/// ```
/// # use jobs::envelope::{Chain, Stamper, StampError};
/// # use jobs::tenant::TenantContext;
/// # fn example<A: jobs::Job, B: jobs::Job>(
/// #     stamper: &Stamper, tenant: &TenantContext, first: A, second: B,
/// # ) -> Result<(), StampError> {
/// let chain = Chain::of(stamper, tenant).then(&first)?.then(&second)?;
/// // queue.push_chain(&chain).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chain<'a> {
    stamper: &'a Stamper,
    tenant: &'a TenantContext,
    jobs: Vec<StampedJob>,
}

impl<'a> Chain<'a> {
    /// A chain without jobs.
    #[must_use]
    pub const fn of(stamper: &'a Stamper, tenant: &'a TenantContext) -> Self {
        Self { stamper, tenant, jobs: Vec::new() }
    }

    /// Adds a job to the end.
    ///
    /// # Errors
    /// As for [`Stamper::stamp`].
    pub fn then<J: Job>(self, job: &J) -> Result<Self, StampError> {
        self.then_with(job, EnqueueOptions::default())
    }

    /// Adds a job that differs from the usual of its type. Its group is the chain's affair.
    ///
    /// # Errors
    /// As for [`Stamper::stamp`].
    pub fn then_with<J: Job>(mut self, job: &J, options: EnqueueOptions) -> Result<Self, StampError> {
        let id = options.id.unwrap_or_else(|| JobId::generate(self.stamper.now()));
        let options = EnqueueOptions { id: Some(id), group: Some(GroupId::after(id)), ..options };
        self.jobs.push(self.stamper.stamp(self.tenant, job, options)?);
        Ok(self)
    }

    /// The jobs, the first to run first.
    #[must_use]
    pub fn jobs(&self) -> &[StampedJob] {
        &self.jobs
    }
}
