//! Reads bodies: no further, no slower and into no more memory than their request may.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::Extensions;
use bytes::BytesMut;
use futures::TryStreamExt as _;
use jobs::tenant::TenantId;
use tokio::time::{Instant, timeout_at};

use crate::connections::OpenRequest;
use crate::documents::{Limits, UploadRoom};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// Memory is taken in steps of this size, so that not every packet asks for some.
const STEP: usize = 64 << 10;
/// The least that has to come in a second, on average, once the first [`GRACE`] is over.
const LEAST_RATE: u32 = 1 << 10;
const GRACE: Duration = Duration::from_secs(30);

/// Whose upload a request is. Inserted by the extractor that authorises the caller: without it no body takes memory of
/// uploads.
#[derive(Debug, Clone)]
pub(super) struct Uploader(pub(super) TenantId);

/// A body that is being read.
pub(super) struct Incoming {
    body: BodyDataStream,
    most: usize,
    announced: Option<usize>,
    received: usize,
    pace: Pace,
    room: Option<UploadRoom>,
}

impl Incoming {
    /// The body of a request that uploads nothing.
    ///
    /// # Errors
    /// When it is announced to be too large.
    pub(super) fn small(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let is_believed = is_believed(request.extensions());
        let most = if is_believed { Limits::BODY_BYTES } else { Limits::STRANGERS_BODY_BYTES };
        let idle = app.limits().body_idle_time;
        Self::open(request, most, Pace::new(idle, is_believed), None)
    }

    /// The body of an upload of a caller who was let in.
    ///
    /// # Errors
    /// When it is announced to be too large.
    pub(super) fn upload(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let Some(Uploader(tenant)) = request.extensions().get().cloned() else {
            tracing::error!("an upload is read before its caller was let in");
            return Err(Problem::new(
                Code::Internal,
                "the fault was logged; name the X-Request-Id when you report it",
            ));
        };
        let pace = Pace::new(app.limits().body_idle_time, true);
        Self::open(request, app.limits().request_bytes, pace, Some(app.budget().open(tenant)))
    }

    fn open(request: Request, most: usize, pace: Pace, room: Option<UploadRoom>) -> Result<Self, Problem> {
        let body = request.into_body();
        let announced = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|announced| announced > most) {
            return Err(too_large(most));
        }
        Ok(Self { body: body.into_data_stream(), most, announced, received: 0, pace, room })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the body is too large, too slow, broken off, or finds no room.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = timeout_at(self.pace.deadline(self.received), self.body.try_next()).await;
        let next = next.map_err(|_| self.pace.too_slow())?;
        let piece = next.map_err(|_| Problem::new(Code::MalformedRequest, "the body ended early"))?;
        let Some(piece) = piece else { return Ok(None) };
        self.received = self.received.saturating_add(piece.len());
        if self.received > self.most {
            return Err(too_large(self.most));
        }
        self.find_room().await?;
        self.pace.last = Instant::now();
        Ok(Some(piece))
    }

    async fn find_room(&mut self) -> Result<(), Problem> {
        let Some(room) = &mut self.room else { return Ok(()) };
        let step = self.received.next_multiple_of(STEP);
        let wanted = self.announced.map_or(step, |announced| step.min(announced.max(self.received)));
        let start = Instant::now();
        room.hold(wanted).await.map_err(|_| {
            Problem::new(Code::Busy, "there is no room for another upload now").retry_after_s(1)
        })?;
        // The client is not slow while it waits for us.
        self.pace.start += start.elapsed();
        Ok(())
    }

    /// The whole body, and the room that it takes.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(super) async fn read(mut self) -> Result<(Bytes, Option<UploadRoom>), Problem> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok((whole.freeze(), self.room))
    }

    /// The room that the body takes, to be held as long as what was read.
    pub(super) fn take_room(&mut self) -> Option<UploadRoom> {
        self.room.take()
    }
}

fn is_believed(extensions: &Extensions) -> bool {
    extensions.get::<Arc<OpenRequest>>().is_some_and(|open| open.is_believed())
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        Code::RequestTooLarge,
        format!("the body has more than {most} bytes, the most that this route takes"),
    )
}

/// How fast a body has to come.
#[derive(Debug)]
struct Pace {
    start: Instant,
    last: Instant,
    idle: Duration,
    is_believed: bool,
}

impl Pace {
    fn new(idle: Duration, is_believed: bool) -> Self {
        let now = Instant::now();
        Self { start: now, last: now, idle, is_believed }
    }

    /// When the next bytes have to be there.
    fn deadline(&self, received: usize) -> Instant {
        if !self.is_believed {
            return self.start + self.idle;
        }
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs((received / LEAST_RATE).into());
        (self.last + self.idle).min(self.start + GRACE.max(self.idle) + earned)
    }

    fn too_slow(&self) -> Problem {
        let detail = if self.is_believed {
            format!(
                "the body comes too slowly: send something every {} s, and {LEAST_RATE} bytes a second",
                self.idle.as_secs_f32()
            )
        } else {
            format!("the body was not complete within {} s", self.idle.as_secs_f32())
        };
        Problem::new(Code::RequestTimeout, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn due(pace: &Pace, received: usize) -> u64 {
        pace.deadline(received).duration_since(pace.start).as_secs()
    }

    #[test]
    fn a_body_has_to_go_on_and_to_get_on() {
        let mut pace = Pace::new(SECOND * 15, true);
        assert_eq!(due(&pace, 0), 15);
        pace.last += SECOND * 10;
        assert_eq!(due(&pace, 10), 25);
        pace.last += SECOND * 10;
        assert_eq!(due(&pace, 20), 30, "it trickles");
        assert_eq!(due(&pace, 3 << 10), 33);
        assert_eq!(due(&pace, 1 << 20), 35);
    }

    #[test]
    fn a_strangers_body_is_there_in_time_however_it_trickles() {
        let mut pace = Pace::new(SECOND * 15, false);
        pace.last += SECOND * 14;
        assert_eq!(due(&pace, 10_000), 15);
    }
}
