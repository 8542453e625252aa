use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::middleware::router;
use crate::accept::create_only_tenant;
use crate::connections::listen;
use crate::metrics::keep_up;
use crate::state::ApiState;

/// How long requests that are being answered may go on after the shutdown began.
const DRAIN: Duration = Duration::from_secs(20);

/// How long entries of the audit log are waited for whose clients left.
const LAST_AUDITS: Duration = Duration::from_secs(10);

/// How long the last events are waited for.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Serves requests on `listener` until `shutdown`, then waits up to 20 s for those in progress. What they left to be
/// written is written to the catalog.
pub async fn serve(listener: TcpListener, app: ApiState, shutdown: CancellationToken) {
    if let Err(problem) = create_only_tenant(&app).await {
        tracing::error!(code = %problem.code(), "the only tenant cannot be made, requests will find none");
    }
    let stop = CancellationToken::new();
    let books = tokio::spawn({
        let (app, stop) = (app.clone(), stop.clone());
        async move { app.bookkeeper().run(stop).await }
    });
    let watch = tokio::spawn(app.queue().clone().watch_memory(stop.clone()));
    let upkeep = tokio::spawn(keep_up());
    serve_until(listener, app.clone(), shutdown).await;
    app.audits().close();
    if tokio::time::timeout(LAST_AUDITS, app.audits().wait()).await.is_err() {
        tracing::error!("the catalog is slow: the last actions may be missing in the audit log");
    }
    stop.cancel();
    let _ = books.await;
    watch.abort();
    upkeep.abort();
    app.bookkeeper().finish().await;
    if tokio::time::timeout(LAST_EVENTS, app.stores().events_flush()).await.is_err() {
        tracing::warn!("Redis is slow: the last events may be missing");
    }
}

async fn serve_until(listener: TcpListener, app: ApiState, shutdown: CancellationToken) {
    let connections = app.connections();
    let served = listen(listener, router(app.clone()), connections, shutdown.clone());
    let drained = async {
        shutdown.cancelled().await;
        app.closing().cancel();
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = served => {}
        () = drained => tracing::warn!("shutting down although requests are still being answered"),
    }
}
