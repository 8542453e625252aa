//! Ends or stops its own process at one call of a store.
//!
//! The stores open a span around each call. A layer counts those that the job which runs makes, and at the one that it
//! was told it ends the process: after the effect of the call before, and before that of this one. The point behind the
//! last call is that before the queue hears how the job ended. Nothing in the product knows of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jobs::envelope::SPANS;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::ledger::{Entry, Ledger};

/// The span of a job in a worker.
const JOB: &str = "job";
/// The span of its attempt, which belongs to the trace of the job.
const ATTEMPT: &str = "process";
/// The call that writes down how the job ended. It is made for several jobs together, outside of the job's span.
const HISTORY: &str = "catalog.history_insert";

/// What becomes of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// `kill -9`.
    Killed,
    /// `SIGSTOP`, until the test lets it go on.
    Stopped,
}

/// Before the first call of an operation that a job makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CrashPoint {
    pub(super) operation: String,
    pub(super) fate: Fate,
}

struct CrashPoints {
    point: Option<CrashPoint>,
    ledger: Arc<Ledger>,
    calls: AtomicUsize,
    runs: AtomicBool,
    is_past: AtomicBool,
}

/// Watches this process. For a worker that runs one job at a time.
pub(super) fn watch(point: Option<CrashPoint>, ledger: Arc<Ledger>) {
    let points = CrashPoints {
        point,
        ledger,
        calls: AtomicUsize::new(0),
        runs: AtomicBool::new(false),
        is_past: AtomicBool::new(false),
    };
    let subscriber = Registry::default().with(points);
    tracing::subscriber::set_global_default(subscriber).expect("the first in this process");
}

impl CrashPoints {
    fn reach(&self, operation: &str) {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.ledger.note(&Entry::Call { number, operation: operation.to_owned() });
        let Some(point) = self.point.as_ref().filter(|point| point.operation == operation) else { return };
        if self.is_past.swap(true, Ordering::SeqCst) {
            return;
        }
        self.ledger.note(&Entry::Reached { number, operation: operation.to_owned() });
        let signal = match point.fate {
            Fate::Killed => Signal::KILL,
            Fate::Stopped => Signal::STOP,
        };
        kill_process(getpid(), signal).expect("a process may end itself");
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CrashPoints {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = ["worker", "ingest", SPANS].iter().any(|target| metadata.target().starts_with(target));
        metadata.is_span() && (ours || *metadata.level() <= Level::INFO)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        match attributes.metadata().name() {
            JOB => {
                self.calls.store(0, Ordering::SeqCst);
                self.runs.store(true, Ordering::SeqCst);
            }
            "call" => {
                let mut operation = Operation::default();
                attributes.record(&mut operation);
                let is_history = operation.0 == HISTORY && self.runs.load(Ordering::SeqCst);
                let mut above = context.span_scope(id).into_iter().flatten();
                if is_history || above.any(|span| [JOB, ATTEMPT].contains(&span.name())) {
                    self.reach(&operation.0);
                }
                if is_history && let Some(span) = context.span(id) {
                    span.extensions_mut().insert(History);
                }
            }
            _ => {}
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if span.extensions().get::<History>().is_some() {
            self.reach("the queue");
        }
        if span.name() == JOB {
            self.runs.store(false, Ordering::SeqCst);
        }
    }
}

/// Marks the span of the call that writes down how the job ended.
struct History;

#[derive(Default)]
struct Operation(String);

impl Visit for Operation {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "operation" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
