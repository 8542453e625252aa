use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::TryStreamExt as _;
use http_body::{Frame, SizeHint};

use crate::connections::OpenRequest;

/// What is left of a body is read, so that the connection can go on, if it is so little and comes so soon.
const LITTLE: usize = 64 << 10;
const SOON: Duration = Duration::from_millis(250);

/// Answers that were given before the body was read say so: what is little is read then, and otherwise the answer says
/// `Connection: close`. A client that is not told would send its next request into a connection that is gone.
pub(super) async fn leave_nothing_unread(request: Request, next: Next) -> Response {
    // Streams of HTTP/2 end one by one.
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let open = request.extensions().get::<Arc<OpenRequest>>().cloned();
    let rest = Rest::default();
    let request = request.map(|body| Body::new(Lent { body: Some(body), rest: rest.clone() }));
    let mut response = next.run(request).await;
    let is_read = match rest.take() {
        None => true,
        Some(body) if body.is_end_stream() => true,
        // Reading would tell the client to send what was refused.
        Some(_) if waits_for_leave => false,
        Some(body) => is_soon_read(body).await,
    };
    if !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(open) = open {
            open.leave_unread();
        }
    }
    response
}

async fn is_soon_read(body: Body) -> bool {
    if body.size_hint().lower() > LITTLE as u64 {
        return false;
    }
    let read = tokio::time::timeout(SOON, read_little(body.into_data_stream())).await;
    read.unwrap_or_default()
}

/// Whether the end came.
async fn read_little(mut body: BodyDataStream) -> bool {
    let mut left = LITTLE;
    loop {
        match body.try_next().await {
            Ok(None) => return true,
            Ok(Some(piece)) if piece.len() <= left => left -= piece.len(),
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// Where a body comes back to.
#[derive(Clone, Default)]
struct Rest(Arc<Mutex<Option<Body>>>);

impl Rest {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that comes back when it is dropped.
struct Lent {
    body: Option<Body>,
    rest: Rest,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}
