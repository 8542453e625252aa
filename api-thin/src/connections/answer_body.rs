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
    /// `None` between two parts of a body that comes as it happens.
    id: Option<AnswerId>,
    /// Whether its parts come as they happen: then each of them has to be taken, and none of them soon.
    by_part: bool,
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
        let id = Some(activity.answer_begins(now));
        let activity = Arc::clone(activity);
        let rest = Bytes::new();
        Body::new(Self { body, rest, under_way: 0, id, by_part: false, activity, _request: request })
    }

    /// A body whose parts come as they happen, such as events: there may be none for long, and each has to be taken.
    pub(super) fn watched_by_part(
        body: Body,
        activity: &Arc<Activity>,
        request: Option<Arc<OpenRequest>>,
    ) -> Body {
        let (activity, rest) = (Arc::clone(activity), Bytes::new());
        Body::new(Self { body, rest, under_way: 0, id: None, by_part: true, activity, _request: request })
    }

    /// The last part was taken.
    fn taken(&mut self) {
        let taken = std::mem::take(&mut self.under_way);
        let Some(id) = self.id.filter(|_| taken > 0) else { return };
        if self.by_part {
            self.activity.answer_ends(id, Instant::now());
            self.id = None;
        } else {
            self.activity.answer_taken(id, taken, Instant::now());
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        self.under_way = self.rest.len().min(PART);
        let length = self.under_way;
        if self.by_part {
            self.id = Some(self.activity.answer_begins(Instant::now()));
        }
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
        if let Some(id) = self.id {
            self.activity.answer_ends(id, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures::StreamExt as _;

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
    async fn events_may_be_far_apart_and_each_has_to_be_taken() {
        let (activity, start) = after_a_request();
        let parts = futures::stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"data: 1"))]);
        let parts = Body::from_stream(parts.chain(futures::stream::pending()));
        let mut body = AnswerBody::watched_by_part(parts, &activity, None);
        let idle = closed_after(&activity, start);
        assert!(idle >= Duration::from_secs(75), "nothing has to be taken");
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "data: 1");
        let due = closed_after(&activity, start);
        assert!(due < Duration::from_secs(40), "it is under way, and due in half a minute: {due:?}");
        let nothing = futures::poll!(poll_fn(|context| Pin::new(&mut body).poll_frame(context)));
        assert!(nothing.is_pending());
        assert!(closed_after(&activity, start) >= Duration::from_secs(75), "it was taken");
    }

    #[tokio::test]
    async fn a_small_answer_is_not_watched() {
        let (activity, start) = after_a_request();
        let _body = AnswerBody::watched(Body::from(vec![0; PART]), &activity, None, start);
        assert_eq!(closed_after(&activity, start), Duration::from_secs(75));
    }
}
