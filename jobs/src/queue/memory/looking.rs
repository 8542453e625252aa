//! Questions that change nothing.

use chrono::DateTime;

use super::job::{Job, Place};
use super::state::State;
use super::tenant::Tenant;
use crate::id::JobId;
use crate::job::Priority;
use crate::queue::answer;
use crate::queue::heartbeat;
use crate::queue::status::{JobState, JobStatus, Kept, KeptJob, QueueStats, Reason};
use crate::tenant::TenantId;

impl State {
    pub(super) fn declared(&self, lane: &str, now_ms: i64) -> bool {
        let live_ms = i64::try_from(heartbeat::LIVE_MS).unwrap_or(i64::MAX);
        self.declared_ms.get(lane).is_some_and(|seen_ms| now_ms - seen_ms <= live_ms)
    }

    fn suspended(&self, tenant: &TenantId) -> bool {
        self.tenants.get(tenant).is_some_and(|tenant| tenant.suspended)
    }

    pub(super) fn lookup(&self, tenant: &TenantId, id: JobId, now_ms: i64) -> Option<JobStatus> {
        match self.jobs.get(&id).filter(|job| job.tenant == *tenant) {
            Some(job) => Some(self.status(id, job, now_ms)),
            None => self.remembered(tenant, id, now_ms),
        }
    }

    fn status(&self, id: JobId, job: &Job, now_ms: i64) -> JobStatus {
        let (state, at_ms, why) = match &job.place {
            Place::Waiting if self.suspended(&job.tenant) => (JobState::Parked, None, &job.note),
            Place::Waiting => (JobState::Available, None, &job.note),
            Place::Active(_) => (JobState::Active, None, &job.note),
            Place::Timer(state, due_ms) => (*state, Some(*due_ms), &job.note),
            Place::Kept { kept: Kept::Discarded, since_ms, why } => {
                (JobState::Discarded, Some(*since_ms), why)
            }
            Place::Kept { kept: Kept::Quarantined, since_ms, why } => {
                (JobState::Quarantined, Some(*since_ms), why)
            }
        };
        JobStatus {
            id,
            state,
            lane: job.lane.clone(),
            lane_declared: self.declared(&job.lane, now_ms),
            priority: job.priority,
            attempts: job.attempts,
            deaths: job.deaths,
            interruptions: job.interruptions,
            at: at_ms.and_then(DateTime::from_timestamp_millis),
            reason: answer::reason(why),
        }
    }

    /// A job that is forgotten but for its outcome.
    fn remembered(&self, tenant: &TenantId, id: JobId, now_ms: i64) -> Option<JobStatus> {
        let completed = self.tenants.get(tenant)?.remembered(id, now_ms)?;
        Some(JobStatus {
            id,
            state: if completed { JobState::Completed } else { JobState::Cancelled },
            lane: String::new(),
            lane_declared: false,
            priority: Priority::High,
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            at: None,
            reason: None,
        })
    }

    pub(super) fn stats(&self, name: &TenantId, now_ms: i64) -> QueueStats {
        let mut stats = QueueStats::default();
        if let Some(Tenant { totals, .. }) = self.tenants.get(name) {
            stats.completed_total = totals.completed;
            stats.cancelled_total = totals.cancelled;
            stats.discarded_total = totals.discarded;
            stats.quarantined_total = totals.quarantined;
        }
        let suspended = self.suspended(name);
        for job in self.jobs.values().filter(|job| job.tenant == *name) {
            let count = match &job.place {
                Place::Waiting if suspended => &mut stats.parked,
                Place::Waiting => &mut stats.available,
                Place::Active(_) => &mut stats.active,
                Place::Timer(JobState::Scheduled, _) => &mut stats.scheduled,
                Place::Timer(JobState::Parked, _) => &mut stats.parked,
                Place::Timer(..) => &mut stats.retryable,
                Place::Kept { kept: Kept::Discarded, .. } => &mut stats.discarded,
                Place::Kept { kept: Kept::Quarantined, .. } => &mut stats.quarantined,
            };
            *count += 1;
            if job.place == Place::Waiting && !suspended && !self.declared(&job.lane, now_ms) {
                *stats.undeclared.entry(job.lane.clone()).or_default() += 1;
            }
        }
        stats
    }

    pub(super) fn kept(&self, tenant: &TenantId, which: Kept, limit: usize) -> Vec<KeptJob> {
        let page = self.kept_of(tenant, which).into_iter().take(limit);
        let entry = |(since_ms, id): (i64, JobId)| {
            let why = self.jobs.get(&id).and_then(|job| match &job.place {
                Place::Kept { why, .. } => answer::reason(why),
                _ => None,
            });
            let since = DateTime::from_timestamp_millis(since_ms).unwrap_or_default();
            let reason = why.unwrap_or(Reason { code: "unknown".to_owned(), text: String::new() });
            KeptJob { id, since, reason }
        };
        page.map(entry).collect()
    }
}
