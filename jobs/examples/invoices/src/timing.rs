//! Middleware of your own: a [`tower::Layer`] around every job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _};
use jobs::JobError;
use tower::{Layer, Service};
use worker::layer::JobRequest;

/// How many attempts a tenant had at jobs of one type, how many of them failed, and how long all took.
type Totals = BTreeMap<(String, &'static str), (u32, u32, Duration)>;

/// Measures every attempt. Clones add to the same totals.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    totals: Arc<Mutex<Totals>>,
}

/// The measurements of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// The tenant that the measured jobs belong to.
    pub tenant: String,
    /// Of which type.
    pub kind: &'static str,
    /// Number of attempts.
    pub attempts: u32,
    /// Number of failed attempts.
    pub failed: u32,
    /// How long they took together.
    pub took: Duration,
}

impl Timing {
    /// The totals, by tenant and type.
    #[must_use]
    pub fn totals(&self) -> Vec<Timings> {
        let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((tenant, kind), &(attempts, failed, took)): (&(String, &'static str), _)| Timings {
            tenant: tenant.clone(),
            kind,
            attempts,
            failed,
            took,
        };
        totals.iter().map(row).collect()
    }

    fn add(&self, tenant: String, kind: &'static str, failed: bool, took: Duration) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let (attempts, failures, total) = totals.entry((tenant, kind)).or_default();
        *attempts += 1;
        *failures += u32::from(failed);
        *total += took;
    }
}

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner, timing: self.clone() }
    }
}

/// The service that [`Timing`] makes.
#[derive(Debug, Clone)]
pub struct Timed<S> {
    inner: S,
    timing: Timing,
}

impl<S> Service<JobRequest> for Timed<S>
where
    S: Service<JobRequest, Response = (), Error = JobError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = JobError;
    type Future = BoxFuture<'static, Result<(), JobError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JobError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: JobRequest) -> Self::Future {
        let (tenant, kind) = (request.tenant().tenant_id().to_string(), request.kind());
        let (attempt, timing, started) = (self.inner.call(request), self.timing.clone(), Instant::now());
        async move {
            let result = attempt.await;
            timing.add(tenant, kind, result.is_err(), started.elapsed());
            result
        }
        .boxed()
    }
}
