//! A stream of server-sent events: what a listener is told, with its state at first, signs of life, and a last event
//! that says why it ends. It ends when its credentials do.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as Line, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use futures::stream;
use rand::Rng as _;
use serde_json::{Value, json};
use stores::model::{EventId, EventKind};
use stores::{End, Listener, Told};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::problem::{Code, Problem};

/// How often a sign of life is sent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often credentials are checked again.
const CHECK: Duration = Duration::from_secs(3);
/// How often the whole of what is followed is read again while its parts change.
const WHOLE: Duration = Duration::from_secs(1);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Reads what is followed; listeners that have seen the same event may share a reading.
pub(crate) type Snapshot =
    Box<dyn Fn(Option<EventId>) -> BoxFuture<'static, Result<Value, Problem>> + Send + Sync>;
/// Checks the credentials of the listener.
pub(crate) type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), Problem>> + Send + Sync>;

/// A stream before it begins.
pub(crate) struct Stream {
    pub(crate) listener: Listener,
    /// Reads what is followed, if that is one thing.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) check: Check,
    /// Cancelled when the program is to end.
    pub(crate) closing: CancellationToken,
    /// Whether an event about a part is followed by the whole.
    pub(crate) changes_as_whole: bool,
    /// Whether it goes on from an event that was seen.
    pub(crate) resumes: bool,
}

impl Stream {
    pub(crate) fn into_response(self) -> Response {
        let lines = stream::unfold(Running::begin(self), |mut running| async move {
            running.next().await.map(|line| (Ok::<_, Infallible>(line), running))
        });
        // Proxies that gather answers would hold events back.
        let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        ([unbuffered], Sse::new(lines)).into_response()
    }
}

struct Running {
    stream: Stream,
    lines: VecDeque<Line>,
    last: EventId,
    heartbeats: Interval,
    checks: Interval,
    wholes: Interval,
    /// Whether the whole has changed since it was read.
    changed: bool,
    has_ended: bool,
}

impl Running {
    fn begin(stream: Stream) -> Self {
        // Listeners that came together are not checked together.
        let now = Instant::now();
        let jitter = CHECK.mul_f64(rand::rng().random_range(0.5..1.0));
        let ready = json!({ "last_id": stream.listener.start.to_string() });
        let ready = Line::default().event("ready").retry(RETRY).data(ready.to_string());
        // One that resumes gets its events first; their ids say how far it is.
        let ready = if stream.resumes { ready } else { ready.id(stream.listener.start.to_string()) };
        let (last, has_gap) = (stream.listener.start, stream.listener.has_gap);
        let mut running = Self {
            changed: stream.snapshot.is_some() && (has_gap || !stream.resumes),
            stream,
            lines: VecDeque::from([ready]),
            last,
            heartbeats: every(now + HEARTBEAT, HEARTBEAT),
            checks: every(now + jitter, CHECK),
            wholes: every(now, WHOLE),
            has_ended: false,
        };
        if has_gap {
            running.lines.push_back(missing(last, "the events since the one you name are no longer kept"));
        }
        running
    }

    /// The next line; `None` after the last.
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.has_ended {
                return None;
            }
            tokio::select! {
                biased;
                () = self.stream.closing.cancelled() => {
                    self.end("shutdown", "the server ends: connect again");
                }
                _ = self.checks.tick() => {
                    if let Err(problem) = (self.stream.check)().await {
                        self.refuse(&problem);
                    }
                }
                _ = self.wholes.tick(), if self.changed => self.whole().await,
                told = self.stream.listener.next() => match told {
                    Ok(told) => self.tell(&told),
                    Err(End::TooSlow) => {
                        self.end("too_slow", "events were not taken in time: connect again from the last one");
                    }
                },
                _ = self.heartbeats.tick() => self.lines.push_back(Line::default().comment("")),
            }
        }
    }

    fn tell(&mut self, told: &Told) {
        self.last = told.id;
        self.heartbeats.reset();
        if told.event.kind == EventKind::Reset {
            let why = told.event.message.as_deref().unwrap_or_default();
            self.lines.push_back(missing(told.id, why));
            self.changed = self.stream.snapshot.is_some();
            return;
        }
        let line = Line::default().event(told.event.kind.as_str()).id(told.id.to_string());
        self.lines.push_back(line.data(&told.text));
        self.changed |= self.stream.changes_as_whole && told.event.kind == EventKind::Document;
    }

    /// Reads what is followed as a whole.
    async fn whole(&mut self) {
        let Some(snapshot) = &self.stream.snapshot else { return };
        self.changed = false;
        match snapshot(Some(self.last)).await {
            Ok(whole) => {
                let line = Line::default().event("snapshot").id(self.last.to_string());
                self.lines.push_back(line.data(whole.to_string()));
            }
            Err(problem) if problem.code() == Code::NotFound => self.refuse(&problem),
            // It is read again soon.
            Err(_) => self.changed = true,
        }
    }

    fn refuse(&mut self, problem: &Problem) {
        // A server that is away for a moment refuses nothing.
        if !problem.code().status().is_server_error() {
            self.end(problem.code().as_str(), "a new request would be refused for this reason");
        }
    }

    /// The last event. Its code is stable: for programs.
    fn end(&mut self, code: &str, detail: &str) {
        let last = json!({ "code": code, "detail": detail, "last_id": self.last.to_string() });
        self.lines.push_back(Line::default().event("end").data(last.to_string()));
        self.has_ended = true;
    }
}

fn missing(id: EventId, why: &str) -> Line {
    let text = json!({ "type": "reset", "message": why }).to_string();
    Line::default().event("reset").id(id.to_string()).data(text)
}

fn every(first: Instant, period: Duration) -> Interval {
    let mut interval = interval_at(first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
