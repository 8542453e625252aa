use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use jobs::JobError;
use tower::{Layer, Service, ServiceExt as _};

use super::request::JobRequest;
use super::stack::JobService;

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
    /// Goes on with the job.
    ///
    /// # Errors
    /// What the handler, or a layer behind this one, says.
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
