//! What the queue says of itself, in Prometheus' terms.
//!
//! It is recorded through the facade [`metrics`], so that a program chooses the recorder, and pays nothing without one.
//! Types and queues are labels, so both are bounded: what is beyond [`MOST_TYPES`] counts as `other`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use fair_queue::{Census, Finish, QueueOverview, SkillOverview};
use futures::future::join_all;
use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::envelope::StampedJob;
use crate::queue::{Queue, QueueError};

/// How many types of jobs have series of their own.
pub const MOST_TYPES: usize = 100;

const ENQUEUED: &str = "tenantry_jobs_enqueued_total";
const RECORDS: &str = "tenantry_queue_records";
const IN_FLIGHT: &str = "tenantry_queue_jobs_in_flight";
const TENANTS: &str = "tenantry_queue_tenants";
const READY: &str = "tenantry_queue_tenants_ready";
const WAITING: &str = "tenantry_queue_jobs_waiting";
const STARTABLE: &str = "tenantry_queue_jobs_startable";
const OLDEST: &str = "tenantry_queue_oldest_waiting_seconds";
const WORKERS: &str = "tenantry_queue_workers";
const DESIRED: &str = "tenantry_desired_workers";

/// Tells the recorder what the metrics of this module mean.
pub fn describe() {
    describe_counter!(ENQUEUED, "Jobs that were put into the queue, children and scheduled ones included.");
    describe_gauge!(
        RECORDS,
        "Jobs that the queue has a record of: open ones, dead letters, quarantined ones."
    );
    describe_gauge!(IN_FLIGHT, "Jobs that workers hold.");
    describe_gauge!(TENANTS, "Tenants with work or settings in the queue, by whether they may run.");
    describe_gauge!(READY, "Tenants that have such jobs and may run now.");
    describe_gauge!(WAITING, "Jobs that wait for a worker, of tenants that may run now.");
    describe_gauge!(STARTABLE, "Jobs among the waiting ones that caps and rates let start now.");
    describe_gauge!(OLDEST, "How long the oldest of the waiting jobs has been due.");
    describe_gauge!(WORKERS, "Live workers that run such jobs.");
    describe_gauge!(
        DESIRED,
        "Workers that could be busy now: without what caps, rates and pauses hold back."
    );
}

/// Counts jobs that were pushed. Of a batch with duplicates the last ones are taken for these.
pub(crate) fn enqueued(jobs: &[StampedJob], accepted: usize) {
    let mut by_skill: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for job in jobs.iter().take(accepted) {
        *by_skill.entry((job.queue(), job.kind())).or_default() += 1;
    }
    for ((queue, kind), count) in by_skill {
        jobs_enqueued(queue, kind, count);
    }
}

/// Counts the jobs that a job leaves when it completes: its children, its group and what comes after that.
pub fn children_enqueued(finish: &Finish) {
    let continuation = finish.group.iter().map(|group| &group.continuation);
    for job in finish.children.iter().chain(continuation) {
        let skill = job.skill.as_str();
        jobs_enqueued(job.skill.queue(), skill.rsplit_once('@').map_or(skill, |(kind, _)| kind), 1);
    }
}

/// Counts jobs of one type that were put into the queue.
pub fn jobs_enqueued(queue: &str, kind: &str, count: u64) {
    counter!(ENQUEUED, "queue" => queue.to_owned(), "type" => kind.to_owned()).increment(count);
}

/// Reads what is in the queue, and records it.
pub struct QueueSampler {
    queue: Queue,
    census: Census,
    /// Jobs that one worker runs at the same time.
    slots: u64,
    /// Queue and type of every series so far, so that none keeps its last value when its skill is gone.
    known: Mutex<BTreeSet<(String, String)>>,
}

impl QueueSampler {
    /// A sampler of `queue`, whose workers have `slots` slots each.
    #[must_use]
    pub fn new(queue: Queue, slots: u16) -> Self {
        let census = Census::of(queue.clone());
        Self { queue, census, slots: u64::from(slots.max(1)), known: Mutex::default() }
    }

    /// Records the queue as it is. It costs the same however many tenants there are.
    ///
    /// # Errors
    /// When Redis fails. Then nothing is recorded.
    pub async fn sample(&self, now: DateTime<Utc>) -> Result<(), QueueError> {
        let overview = self.census.take().await?;
        let due = join_all(overview.skills.iter().map(|skill| self.oldest_due(skill))).await;
        gauge!(RECORDS).set(float(overview.records));
        gauge!(IN_FLIGHT).set(float(overview.in_flight));
        for (state, tenants) in overview.partitions.named() {
            gauge!(TENANTS, "state" => state).set(float(tenants));
        }
        gauge!(DESIRED).set(float(desired_workers(&overview, self.slots)));
        let mut totals: BTreeMap<(String, String), Total> = self.known();
        for (skill, due) in overview.skills.iter().zip(due) {
            let waited = due.map(|due| (now - due).max(TimeDelta::zero()));
            totals.entry(self.labels(skill)).or_default().add(skill, waited);
        }
        for ((queue, kind), total) in totals {
            total.record(queue, kind);
        }
        Ok(())
    }

    /// When the oldest waiting job of a skill was due. `None` also when its record is damaged.
    async fn oldest_due(&self, skill: &SkillOverview) -> Option<DateTime<Utc>> {
        let (partition, id) = skill.oldest.as_ref()?;
        let said = self.queue.inspect(&partition.clone().into(), &[*id]).await.ok()?.pop()??;
        let made_at = said.envelope.meta.created_at;
        Some(said.envelope.scheduled_at.map_or(made_at, |at| at.max(made_at)))
    }

    fn labels(&self, skill: &SkillOverview) -> (String, String) {
        let kind = skill.skill.rsplit_once('@').map_or(skill.skill.as_str(), |(kind, _)| kind);
        let labels = (skill.queue.clone(), kind.to_owned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_TYPES && !known.contains(&labels) {
            return ("other".to_owned(), "other".to_owned());
        }
        known.insert(labels.clone());
        labels
    }

    fn known(&self) -> BTreeMap<(String, String), Total> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|labels| (labels.clone(), Total::default())).collect()
    }
}

/// The skills of one type, whatever their versions.
#[derive(Default)]
struct Total {
    ready: u64,
    waiting: u64,
    startable: u64,
    workers: u64,
    oldest: TimeDelta,
}

impl Total {
    fn add(&mut self, skill: &SkillOverview, waited: Option<TimeDelta>) {
        self.ready += skill.ready_partitions;
        self.waiting += skill.waiting;
        self.startable += skill.startable;
        self.workers = self.workers.max(skill.workers);
        self.oldest = self.oldest.max(waited.unwrap_or_default());
    }

    fn record(self, queue: String, kind: String) {
        let labels = [("queue", queue), ("type", kind)];
        gauge!(READY, &labels).set(float(self.ready));
        gauge!(WAITING, &labels).set(float(self.waiting));
        gauge!(STARTABLE, &labels).set(float(self.startable));
        gauge!(WORKERS, &labels).set(float(self.workers));
        gauge!(OLDEST, &labels).set(self.oldest.as_seconds_f64());
    }
}

/// As many workers as could be busy. Jobs of tenants at their caps, beyond their rates, paused or suspended, and jobs
/// that wait for their next attempt or for a store or a model that is away, are not among it: another worker could
/// not run them. Nor are jobs of a type that no worker runs, unless there is no worker at all.
fn desired_workers(overview: &QueueOverview, slots: u64) -> u64 {
    let there_are_workers = overview.skills.iter().any(|skill| skill.workers > 0);
    let helped = overview.skills.iter().filter(|skill| skill.workers > 0 || !there_are_workers);
    let startable: u64 = helped.map(|skill| skill.startable).sum();
    (overview.in_flight + startable).div_ceil(slots)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and counts are far below 2^52")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(skill: &str, workers: u64, startable: u64) -> SkillOverview {
        SkillOverview {
            skill: skill.to_owned(),
            queue: "default".to_owned(),
            workers,
            ready_partitions: 1,
            waiting: 1_000,
            startable,
            oldest: None,
        }
    }

    fn desired(in_flight: u64, skills: Vec<SkillOverview>) -> u64 {
        desired_workers(&QueueOverview { in_flight, skills, ..QueueOverview::default() }, 16)
    }

    #[test]
    fn workers_are_wanted_for_what_they_could_run() {
        assert_eq!(desired(0, vec![]), 0);
        assert_eq!(desired(1, vec![skill("a@1", 1, 0)]), 1);
        assert_eq!(desired(16, vec![skill("a@1", 1, 17)]), 3);
    }

    #[test]
    fn a_type_that_no_worker_runs_wants_none_unless_there_are_no_workers_at_all() {
        assert_eq!(desired(0, vec![skill("a@1", 1, 0), skill("b@1", 0, 64)]), 0);
        assert_eq!(desired(0, vec![skill("a@1", 0, 0), skill("b@1", 0, 64)]), 4);
    }
}
