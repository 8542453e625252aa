//! The body of a large answer, handed over in small parts, so that it is known how fast the client takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::connection_table::OpenRequest;
use super::socket::{Activity, AnswerId};

/// The most that is handed over at once. The next part is asked for when the earlier one was taken: over HTTP/2 by the
/// client, which opened the stream's window for it, over HTTP/1 by the system.
const PART: usize = 16 << 10;

/// A body that tells its connection how much of it was handed over.
pub(super) struct AnswerBody {
    body: Body,
    rest: Bytes,
    /// Length of the last part, until the next one is asked for.
    under_way: usize,
    id: AnswerId,
    activity: Arc<Activity>,
    /// The request goes on until its answer is handed over: it counts as open, and is not broken off for another.
    _request: Option<Arc<OpenRequest>>,
}

impl AnswerBody {
    /// The same body, watched. One of a single part is not: it is on its way at once.
    pub(super) fn watched(
        body: Body,
        activity: &Arc<Activity>,
        request: Option<Arc<OpenRequest>>,
        now: Instant,
    ) -> Body {
        if body.size_hint().upper().is_some_and(|bytes| bytes <= PART as u64) {
            return body;
        }
        let id = activity.answer_begins(now);
        let activity = Arc::clone(activity);
        Body::new(Self { body, rest: Bytes::new(), under_way: 0, id, activity, _request: request })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let taken = std::mem::take(&mut self.under_way);
        if taken > 0 {
            self.activity.answer_taken(self.id, taken, Instant::now());
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        self.under_way = self.rest.len().min(PART);
        let length = self.under_way;
        let part = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.activity.answer_ends(self.id, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::config::ConnectionLimits;

    /// How long after `start` the connection is closed.
    fn closed_after(activity: &Activity, start: Instant) -> Duration {
        activity.deadline(&ConnectionLimits::default(), start).duration_since(start)
    }

    fn after_a_request() -> (Arc<Activity>, Instant) {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start));
        activity.begin(false);
        activity.end(start);
        (activity, start)
    }

    #[tokio::test]
    async fn a_large_answer_is_handed_over_in_parts_and_has_to_be_taken() {
        let (activity, start) = after_a_request();
        let whole: Vec<u8> = (0..40_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut body = AnswerBody::watched(Body::from(whole.clone()), &activity, None, start);
        assert_eq!(body.size_hint().exact(), Some(40_000));
        assert_eq!(closed_after(&activity, start), Duration::from_secs(30));
        let mut read = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            // What came before has been taken.
            let earned = Duration::from_secs(u64::try_from(read.len()).unwrap() / 1024);
            assert_eq!(closed_after(&activity, start), Duration::from_secs(30) + earned);
            let part = frame.unwrap().into_data().unwrap();
            assert!(part.len() <= PART);
            read.extend_from_slice(&part);
            assert_eq!(body.size_hint().exact(), Some(40_000 - read.len() as u64));
        }
        assert!(read == whole && body.is_end_stream());
        drop(body);
        assert!(closed_after(&activity, start) >= Duration::from_secs(75), "it waits for the next request");
    }

    #[tokio::test]
    async fn a_small_answer_is_not_watched() {
        let (activity, start) = after_a_request();
        let _body = AnswerBody::watched(Body::from(vec![0; PART]), &activity, None, start);
        assert_eq!(closed_after(&activity, start), Duration::from_secs(75));
    }
}
