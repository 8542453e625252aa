//! A worker in one call, for tests of code that should not have to know apalis.

use std::panic::AssertUnwindSafe;

use apalis_core::error::BoxDynError;
use apalis_core::worker::builder::WorkerBuilder;
use futures::future::{BoxFuture, FutureExt as _};

use super::backend::JobBackend;
use super::job::FetchedJob;
use crate::queue::finish::Finish;

/// Runs `handler` on every job until the backend's [`crate::queue::WorkerQueue`] stops. A panic of the
/// handler becomes an error, as it does in the real worker.
///
/// # Errors
/// When apalis gives up, which it should never have a reason for.
pub fn run_for_tests<H, F>(backend: JobBackend, handler: H) -> BoxFuture<'static, Result<(), BoxDynError>>
where
    H: Fn(FetchedJob) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Finish, BoxDynError>> + Send + 'static,
{
    let caught = move |job: FetchedJob| {
        let attempt = AssertUnwindSafe(handler(job)).catch_unwind().boxed();
        async move { attempt.await.unwrap_or_else(|_| Err("the handler panicked".into())) }
    };
    let worker = WorkerBuilder::new("test").backend(backend).build(caught);
    worker.run().map(|end| end.map_err(|error| Box::new(error) as BoxDynError)).boxed()
}
