//! A connection's socket, with the times of its reads and writes.

use std::collections::HashMap;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use crate::config::ConnectionLimits;

/// The least of a large answer that a client has to take in a second, on average, once the first
/// [`ConnectionLimits::answer_time`] is over.
const LEAST_RATE: u32 = 1 << 10;
/// How long a body is read on after its request was refused. Closing at once would make the system send a reset, and
/// clients then discard an answer that they have not read yet.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// A connection's socket. Records reads and writes, gives up clients that do not read their answer, and reads on for a
/// while after a refusal.
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// How long the client may take nothing.
    patience: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

struct Linger {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, patience: Duration) -> Self {
        Self { stream, activity, patience, stall: None, linger: None }
    }

    /// Passes the result of a write on, unless the client has taken nothing for too long.
    fn written(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.stall = None;
            self.activity.sent(Instant::now());
            return wrote;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take the answer")))
    }

    /// Reads what the client still sends, until it has read the answer and closes, or the limits are reached.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let linger = self
            .linger
            .get_or_insert_with(|| Linger { end: Box::pin(sleep(LINGER)), bytes_left: LINGER_BYTES });
        let mut scratch = [0; 8 << 10];
        loop {
            if linger.end.as_mut().poll(context).is_ready() || linger.bytes_left == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            let length = buffer.filled().len();
            if read.is_err() || length == 0 {
                return Poll::Ready(Ok(()));
            }
            linger.bytes_left = linger.bytes_left.saturating_sub(length);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(wrote, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        if self.activity.has_unread() { self.poll_linger(context) } else { Poll::Ready(Ok(())) }
    }
}

/// The times of a connection's events, for its time limits.
#[derive(Debug)]
pub(super) struct Activity {
    moments: Mutex<Moments>,
    /// Fires when less time may be left than before, in a task that does not wake the connection's.
    hurried: Notify,
}

#[derive(Debug)]
struct Moments {
    /// Number of requests in progress.
    requests: usize,
    protocol: Protocol,
    /// When the last request ended, or the last bytes of an answer were taken.
    quiet_since: Instant,
    /// When the first bytes of the next request came.
    head_since: Option<Instant>,
    /// Whether the answer was sent before the body was read.
    has_unread: bool,
    /// Large answers that are not wholly handed over, and how much is.
    answers: HashMap<AnswerId, Handover>,
    last_answer: AnswerId,
}

/// Numbers the large answers of a connection.
pub(super) type AnswerId = u64;

#[derive(Debug)]
struct Handover {
    begun: Instant,
    bytes: usize,
}

impl Handover {
    /// When more has to be handed over. What the system keeps for the client counts as taken, so that no client that
    /// is fast enough is taken for slow.
    fn due(&self, limits: &ConnectionLimits) -> Instant {
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        self.begun + limits.answer_time + Duration::from_secs((bytes / LEAST_RATE).into())
    }
}

/// The protocol of the connection, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// No request came yet.
    Unknown,
    Http1,
    /// Bytes may be control frames, so that they do not tell when a request begins.
    Http2,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let moments = Moments {
            requests: 0,
            protocol: Protocol::Unknown,
            quiet_since: now,
            head_since: None,
            has_unread: false,
            answers: HashMap::new(),
            last_answer: 0,
        };
        Self { moments: Mutex::new(moments), hurried: Notify::new() }
    }

    /// Bytes came.
    pub(super) fn received(&self, now: Instant) {
        let mut moments = self.moments();
        if moments.requests == 0 {
            moments.head_since.get_or_insert(now);
        }
    }

    /// Bytes went. Those of HTTP/2 may be control frames, which keep nothing open.
    pub(super) fn sent(&self, now: Instant) {
        let mut moments = self.moments();
        if moments.protocol != Protocol::Http2 {
            moments.quiet_since = now;
        }
    }

    /// A large answer begins.
    pub(super) fn answer_begins(&self, now: Instant) -> AnswerId {
        let mut moments = self.moments();
        moments.last_answer += 1;
        let id = moments.last_answer;
        moments.answers.insert(id, Handover { begun: now, bytes: 0 });
        drop(moments);
        self.hurried.notify_one();
        id
    }

    /// Waits until less time may be left than [`Self::deadline`] said.
    pub(super) async fn hurried(&self) {
        self.hurried.notified().await;
    }

    /// The client, or the system for it, took more of a large answer.
    pub(super) fn answer_taken(&self, id: AnswerId, bytes: usize, now: Instant) {
        let mut moments = self.moments();
        moments.quiet_since = now;
        if let Some(answer) = moments.answers.get_mut(&id) {
            answer.bytes = answer.bytes.saturating_add(bytes);
        }
    }

    /// A large answer was wholly handed over, or was broken off.
    pub(super) fn answer_ends(&self, id: AnswerId, now: Instant) {
        let mut moments = self.moments();
        moments.quiet_since = now;
        moments.answers.remove(&id);
    }

    /// A request is complete but for its body. How many there are with it.
    pub(super) fn begin(&self, is_http2: bool) -> usize {
        let mut moments = self.moments();
        moments.protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        moments.requests += 1;
        moments.head_since = None;
        moments.requests
    }

    /// A request was answered or aborted.
    pub(super) fn end(&self, now: Instant) {
        let mut moments = self.moments();
        moments.requests = moments.requests.saturating_sub(1);
        moments.quiet_since = now;
    }

    /// When the connection is to be closed unless something happens: when a large answer is not taken, and otherwise
    /// when no request comes. While a request is being answered its own limits hold; then it is the moment to ask
    /// again.
    pub(super) fn deadline(&self, limits: &ConnectionLimits, now: Instant) -> Instant {
        let moments = self.moments();
        let idle_end = moments.quiet_since + limits.idle_time;
        let of_request = match (moments.requests, moments.protocol, moments.head_since) {
            (1.., ..) => now + limits.idle_time.max(Duration::from_millis(1)),
            (0, Protocol::Unknown, _) => moments.quiet_since + limits.header_time,
            (0, Protocol::Http1, Some(head_since)) => head_since + limits.header_time,
            (0, Protocol::Http1, None) | (0, Protocol::Http2, _) => idle_end,
        };
        let answer_due = moments.answers.values().map(|answer| answer.due(limits)).min();
        answer_due.map_or(of_request, |due| due.min(of_request))
    }

    pub(super) fn leave_unread(&self) {
        self.moments().has_unread = true;
    }

    pub(super) fn has_unread(&self) -> bool {
        self.moments().has_unread
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        // Each field is valid by itself, so that a poisoned lock is harmless.
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many seconds the connection is closed.
    fn closed_after(activity: &Activity, start: Instant, now_s: u32) -> u64 {
        let limits = ConnectionLimits::default();
        activity.deadline(&limits, start + SECOND * now_s).duration_since(start).as_secs()
    }

    #[test]
    fn the_first_headers_are_due_soon_however_they_trickle() {
        let start = Instant::now();
        let activity = Activity::new(start);
        assert_eq!(closed_after(&activity, start, 0), 10);
        activity.received(start + SECOND * 9);
        assert_eq!(closed_after(&activity, start, 9), 10);
    }

    #[test]
    fn the_next_request_may_take_its_time_to_begin_and_not_to_arrive() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.begin(false);
        activity.received(start + SECOND * 20);
        assert_eq!(closed_after(&activity, start, 100), 175, "its own limits hold");
        activity.end(start + SECOND * 100);
        activity.sent(start + SECOND * 101);
        assert_eq!(closed_after(&activity, start, 101), 176);
        activity.received(start + SECOND * 150);
        activity.received(start + SECOND * 155);
        assert_eq!(closed_after(&activity, start, 155), 160);
    }

    #[test]
    fn control_frames_keep_nothing_open_and_close_nothing() {
        let start = Instant::now();
        let activity = Activity::new(start);
        assert_eq!(activity.begin(true), 1);
        assert_eq!(activity.begin(true), 2);
        activity.end(start + SECOND);
        activity.end(start + SECOND * 2);
        activity.received(start + SECOND * 60);
        activity.sent(start + SECOND * 60);
        assert_eq!(closed_after(&activity, start, 60), 77);
    }

    #[test]
    fn the_slowest_answer_ends_the_connection() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.begin(true);
        let (fast, slow) = (activity.answer_begins(start), activity.answer_begins(start));
        assert_eq!(closed_after(&activity, start, 0), 30);
        activity.answer_taken(fast, 1 << 20, start + SECOND * 10);
        assert_eq!(closed_after(&activity, start, 10), 30);
        activity.answer_taken(slow, 20 << 10, start + SECOND * 20);
        assert_eq!(closed_after(&activity, start, 20), 50, "1 KiB earns a second");
        activity.answer_ends(slow, start + SECOND * 45);
        assert_eq!(closed_after(&activity, start, 45), 120, "the request goes on");
        activity.end(start + SECOND * 45);
        activity.answer_taken(fast, 1 << 20, start + SECOND * 90);
        assert_eq!(closed_after(&activity, start, 90), 165, "parts that are taken keep it open");
    }
}
