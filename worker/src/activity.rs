//! Counts what this worker does, and writes it down every few seconds, for the charts of the last hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::envelope::Envelope;
use jobs::error::report;
use jobs::queue::{FetchedJob, Verdict};
use jobs::tenant::TenantId;
use stores::activity::{Activity, Counts, Minute};
use tokio_util::sync::CancellationToken;

use crate::periodic::Pace;

/// How often counts are written down.
const FLUSH: Duration = Duration::from_secs(3);

/// What this worker did since it last wrote it down. Clones share it.
#[derive(Clone)]
pub(crate) struct Recorder {
    clock: SharedClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    running: HashMap<u64, Running>,
    next: u64,
    minutes: BTreeMap<i64, Minute>,
}

/// An attempt that goes on.
#[derive(Clone)]
struct Running {
    tenant: TenantId,
    kind: String,
    /// Up to when its time was counted.
    counted_to: DateTime<Utc>,
}

impl State {
    fn add(&mut self, attempt: &Running, at: DateTime<Utc>, counts: &Counts) {
        let minute = self.minutes.entry(Activity::minute_of(at)).or_default();
        match minute.kinds.get_mut(&attempt.kind) {
            Some(known) => known.add(counts),
            None => drop(minute.kinds.insert(attempt.kind.clone(), *counts)),
        }
        minute.tenants.entry(attempt.tenant.clone()).or_default().add(counts);
    }
}

impl Recorder {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts that a panic left half added are still counts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an attempt begins.
    pub(crate) fn started(&self, job: &FetchedJob, envelope: &Envelope, at: DateTime<Utc>) -> Attempt {
        let wait = wait_of(job, envelope, at);
        let counts = Counts {
            started: 1,
            waited: u64::from(wait.is_some()),
            wait_ms: wait.unwrap_or_default(),
            ..Counts::default()
        };
        let running = Running { tenant: job.tenant.clone(), kind: envelope.kind.clone(), counted_to: at };
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.add(&running, at, &counts);
        state.running.insert(number, running);
        Attempt { recorder: self.clone(), number }
    }

    /// What was counted since the last call, the time of attempts that go on included.
    fn take(&self) -> BTreeMap<i64, Minute> {
        let now = self.clock.now();
        let mut state = self.state();
        let mut running: Vec<Running> = state.running.values().cloned().collect();
        for attempt in &mut running {
            let counts = Counts { run_ms: ms_between(attempt.counted_to, now), ..Counts::default() };
            state.add(attempt, now, &counts);
        }
        state.running.values_mut().for_each(|attempt| attempt.counted_to = now);
        std::mem::take(&mut state.minutes)
    }

    /// Writes down what was counted. What Redis does not take is lost: charts are not worth keeping it.
    pub(crate) async fn flush(&self, to: &Activity) {
        if let Err(error) = to.add(self.take()).await {
            tracing::debug!("what was counted for the charts is lost: {}", report(&error));
        }
    }

    /// Writes it down every few seconds, until `stop` fires.
    pub(crate) async fn run(self, to: Activity, stop: CancellationToken) {
        let mut pace = Pace::every(FLUSH);
        while pace.next(&stop).await {
            tokio::select! {
                () = self.flush(&to) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// How long a job waited between its time and its first start, in milliseconds. `None` for a later attempt, and for a
/// job that may have waited for others of its family before it was due.
fn wait_of(job: &FetchedJob, envelope: &Envelope, at: DateTime<Utc>) -> Option<u64> {
    let is_first = job.attempts + job.deaths + job.interruptions + job.parks == 0 && !job.redriven;
    let continues = envelope.meta.parent.is_some() && envelope.meta.group.is_none();
    let due = envelope.scheduled_at.unwrap_or_default().max(envelope.meta.created_at);
    (is_first && !continues).then(|| ms_between(due, at))
}

fn ms_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

/// An attempt that goes on. Dropped without an end, it counts as given back.
pub(crate) struct Attempt {
    recorder: Recorder,
    number: u64,
}

impl Attempt {
    /// Notes how the attempt ended.
    pub(crate) fn ended(self, verdict: &Verdict) {
        let outcome = match verdict {
            Verdict::Completed => Counts { completed: 1, ..Counts::default() },
            Verdict::Retry { .. } => Counts { retried: 1, ..Counts::default() },
            Verdict::Discarded { .. } => Counts { failed: 1, ..Counts::default() },
            Verdict::Dropped { .. } => Counts { cancelled: 1, ..Counts::default() },
            _ => Counts { returned: 1, ..Counts::default() },
        };
        self.end(outcome);
    }

    fn end(&self, outcome: Counts) {
        let now = self.recorder.clock.now();
        let mut state = self.recorder.state();
        let Some(attempt) = state.running.remove(&self.number) else { return };
        let counts = Counts { run_ms: ms_between(attempt.counted_to, now), ..outcome };
        state.add(&attempt, now, &counts);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Counts { returned: 1, ..Counts::default() });
    }
}

#[cfg(test)]
mod tests {
    use jobs::clock::ManualClock;

    use super::*;

    fn attempt(recorder: &Recorder, tenant: &str) -> Attempt {
        let mut state = recorder.state();
        let number = state.next;
        state.next += 1;
        let counted_to = recorder.clock.now();
        let (tenant, kind) = (tenant.parse().unwrap(), "a".to_owned());
        state.running.insert(number, Running { tenant, kind, counted_to });
        Attempt { recorder: recorder.clone(), number }
    }

    #[test]
    fn the_time_of_a_long_job_is_counted_while_it_runs() {
        let clock = ManualClock::at("2027-01-15T08:00:50Z".parse().unwrap());
        let recorder = Recorder::new(Arc::new(clock.clone()));
        let first = Activity::minute_of(recorder.clock.now());
        let long = attempt(&recorder, "acme");
        clock.advance(Duration::from_secs(9));
        let taken = recorder.take();
        assert_eq!(taken[&first].tenants[&"acme".parse().unwrap()].run_ms, 9_000);
        clock.advance(Duration::from_secs(6));
        long.ended(&Verdict::Completed);
        drop(attempt(&recorder, "other"));
        let taken = recorder.take();
        let acme = Counts { completed: 1, run_ms: 6_000, ..Counts::default() };
        assert_eq!(taken[&(first + 1)].tenants[&"acme".parse().unwrap()], acme);
        let total = Counts { completed: 1, returned: 1, run_ms: 6_000, ..Counts::default() };
        assert_eq!(taken[&(first + 1)].total(), total);
        assert_eq!((taken.len(), recorder.take().len()), (1, 0), "nothing twice");
    }
}
