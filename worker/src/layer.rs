//! Middleware around every job: layers of [`tower`], supplied by the embedding program.
//!
//! Every job takes the same path. Its envelope is fetched, **verified** and given its tenant's context first; only
//! then do the layers see it, in the order in which they were added, and last the handler. A forged, foreign or
//! expired job never reaches a layer.
//!
//! ```text
//! fetched ─▶ verify ─▶ [ first layer ─▶ second layer ─▶ handler ] ─▶ verdict ─▶ finish
//!               └─ refused: quarantined, parked or dropped
//! ```
//!
//! - A layer sees a [`JobRequest`]: tenant, kind, id, attempt, the envelope and the whole [`crate::JobContext`].
//! - It may end the attempt by answering with a [`jobs::JobError`] (try again, try again after, give up), or with `Ok`,
//!   which completes the job unhandled.
//! - The handler's panic, timeout and cancellation reach it as the [`jobs::JobError`] they amount to.
//! - The type's timeout covers the layers too. A layer that panics fails this attempt and no other.
//!
//! Write a layer as a function with [`from_fn`], or as a [`tower::Layer`]; tower's own layers fit as well.
//!
//! An attempt is bounded by the type's timeout and by the cancel token, and a panic is a failure like any other.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, FutureExt as _};
use jobs::envelope::{Envelope, Verified};
use jobs::tenant::TenantContext;
use jobs::{JobError, JobId, JobPolicy};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use crate::context::JobContext;
use crate::handler::Reopened;
use crate::registry::Entry;

/// One attempt at a verified job, on its way to the handler.
pub struct JobRequest {
    entry: Entry,
    verified: Arc<Verified>,
    context: Arc<JobContext>,
    redriven: bool,
    deadline: Instant,
}

impl JobRequest {
    pub(crate) fn new(
        entry: Entry,
        verified: Arc<Verified>,
        context: Arc<JobContext>,
        redriven: bool,
    ) -> Self {
        let deadline = Instant::now() + entry.policy.timeout;
        Self { entry, verified, context, redriven, deadline }
    }

    /// Whether the job was started again after it had been discarded or quarantined.
    #[must_use]
    pub fn was_redriven(&self) -> bool {
        self.redriven
    }

    /// The tenant and actor that the job acts for.
    #[must_use]
    pub fn tenant(&self) -> &TenantContext {
        self.context.tenant()
    }

    /// The job's type, such as `document.ingest`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.entry.policy.kind
    }

    /// The job.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.context.job_id()
    }

    /// Which attempt this is, 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.context.attempt()
    }

    /// When the job was enqueued.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.envelope().meta.created_at
    }

    /// The policy of the job's type.
    #[must_use]
    pub fn policy(&self) -> &JobPolicy {
        &self.entry.policy
    }

    /// The envelope, verified.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.verified.envelope
    }

    /// The context that the handler gets: stores, shared values, cancel token.
    #[must_use]
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// When the attempt times out.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Leaves out the arguments, which may hold personal data.
impl fmt::Debug for JobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("tenant", self.tenant().tenant_id())
            .field("kind", &self.kind())
            .field("job_id", &self.job_id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// What a layer wraps: the layers behind it, and the handler at the end.
pub type JobService = BoxCloneSyncService<JobRequest, (), JobError>;

type Wrap = Arc<dyn Fn(JobService) -> JobService + Send + Sync>;

/// The layers around every handler, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    layers: Vec<Wrap>,
}

impl Stack {
    /// Adds a layer inside those that are there.
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<JobService> + Send + Sync + 'static,
        L::Service: Service<JobRequest, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<JobRequest>>::Error: Into<JobError>,
        <L::Service as Service<JobRequest>>::Future: Send + 'static,
    {
        let wrap = move |inner| BoxCloneSyncService::new(layer.layer(inner).map_err(Into::into));
        self.layers.push(Arc::new(wrap));
    }

    /// All layers, with the handler in the middle.
    pub(crate) fn service(&self) -> JobService {
        let handler = BoxCloneSyncService::new(service_fn(handle));
        self.layers.iter().rev().fold(handler, |inner, wrap| wrap(inner))
    }
}

/// A layer from an async function: what runs before `next` runs before the handler, what runs after it runs
/// after.
///
/// ```
/// use jobs::JobError;
/// use worker::layer::{JobRequest, Next, from_fn};
///
/// let maintenance = from_fn(|request: JobRequest, next: Next| async move {
///     if request.kind() == "report.build" && request.tenant().tenant_id().as_str() == "acme" {
///         let after = std::time::Duration::from_secs(3600);
///         return Err(JobError::retry_after(after, "reports of acme wait for the migration"));
///     }
///     next.run(request).await
/// });
/// # fn accepts<L: tower::Layer<worker::layer::JobService>>(_: L) {}
/// # accepts(maintenance);
/// ```
pub fn from_fn<F, R>(function: F) -> FromFn<F>
where
    F: Fn(JobRequest, Next) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), JobError>> + Send + 'static,
{
    FromFn { function }
}

/// See [`from_fn`].
#[derive(Debug, Clone)]
pub struct FromFn<F> {
    function: F,
}

/// The layers behind this one, and the handler.
#[derive(Clone)]
pub struct Next {
    inner: JobService,
}

impl Next {
    /// Passes the job on to the next layer or the handler.
    ///
    /// # Errors
    /// What the handler, or an inner layer, returns.
    pub async fn run(self, request: JobRequest) -> Result<(), JobError> {
        self.inner.oneshot(request).await
    }
}

impl<F: Clone> Layer<JobService> for FromFn<F> {
    type Service = FromFnService<F>;

    fn layer(&self, inner: JobService) -> FromFnService<F> {
        FromFnService { function: self.function.clone(), next: Next { inner } }
    }
}

/// The service that a [`FromFn`] makes.
#[derive(Clone)]
pub struct FromFnService<F> {
    function: F,
    next: Next,
}

impl<F, R> Service<JobRequest> for FromFnService<F>
where
    F: Fn(JobRequest, Next) -> R,
    R: Future<Output = Result<(), JobError>> + Send + 'static,
{
    type Response = ();
    type Error = JobError;
    type Future = BoxFuture<'static, Result<(), JobError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), JobError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: JobRequest) -> Self::Future {
        (self.function)(request, self.next.clone()).boxed()
    }
}

/// How long layers may take to react after the handler was cancelled or timed out.
const GRACE: Duration = Duration::from_millis(200);

/// The innermost service: the handler. Panic, timeout and cancellation reach the layers as a [`JobError`].
pub(super) async fn handle(request: JobRequest) -> Result<(), JobError> {
    let context = request.context();
    let work = AssertUnwindSafe(run(&request)).catch_unwind();
    tokio::select! {
        // A job whose lease is gone must not be reported as done by a handler that finished in the same
        // instant.
        biased;
        () = context.cancelled().cancelled() => Err(JobError::Interrupted),
        result = tokio::time::timeout_at(request.deadline(), work) => match result {
            Err(_) => Err(timed_out(&request)),
            Ok(Err(panic)) => Err(panicked("handler", &*panic)),
            Ok(Ok(result)) => result,
        },
    }
}

async fn run(request: &JobRequest) -> Result<(), JobError> {
    let (entry, envelope, context) = (request.entry(), request.envelope(), request.context());
    if request.was_redriven()
        && let Reopened::Nothing(why) = (entry.reopen)(envelope, context).await?
    {
        tracing::info!("nothing to do: {why}");
        context.had_nothing_to_do(why);
        return Ok(());
    }
    (entry.handle)(envelope, context).await
}

/// One whole attempt. A layer that hangs, panics or swallows a cancellation cannot change the outcome.
pub(crate) async fn bounded(service: JobService, request: JobRequest) -> Result<(), JobError> {
    let cancel = request.context().cancelled().clone();
    let (deadline, late) = (request.deadline() + GRACE, timed_out(&request));
    let cancelled = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let work = AssertUnwindSafe(service.oneshot(request)).catch_unwind();
    let result = tokio::select! {
        biased;
        result = tokio::time::timeout_at(deadline, work) => match result {
            Err(_) => Err(late),
            Ok(Err(panic)) => Err(panicked("layer", &*panic)),
            Ok(Ok(result)) => result,
        },
        () = cancelled => Err(JobError::Interrupted),
    };
    if cancel.is_cancelled() { Err(JobError::Interrupted) } else { result }
}

fn timed_out(request: &JobRequest) -> JobError {
    JobError::retry(format!("no result after {:?}", request.policy().timeout))
}

fn panicked(who: &str, panic: &(dyn Any + Send)) -> JobError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    JobError::retry(format!("the {who} panicked: {text}"))
}
