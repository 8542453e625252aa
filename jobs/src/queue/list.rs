//! Looking through a tenant's jobs.

use chrono::{DateTime, Utc};

use super::client::Queue;
use super::error::QueueError;
use super::library::Operation;
use super::record;
use super::status::{JobState, Kept};
use crate::envelope::{Envelope, WireEnvelope};
use crate::id::JobId;
use crate::job::Priority;
use crate::tenant::TenantId;

/// Most jobs in one call, because a script has to end soon.
pub(super) const PAGE: usize = 200;

/// Which jobs. An empty filter matches every open job: scheduled, available, active, retryable and parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of one of these types; of any when empty.
    pub kinds: Vec<String>,
    /// Of one of these Open Job Spec queues; of any when empty.
    pub queues: Vec<String>,
    /// In one of these states; when empty, in any that is open, or, for dead letters, in any of theirs.
    pub states: Vec<JobState>,
    /// Enqueued before this moment.
    pub created_before: Option<DateTime<Utc>>,
    /// Enqueued at this moment or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Kept for a reason with this code: for dead letters and quarantine only.
    pub reason_code: Option<String>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// The Open Job Spec queue it waits in.
    pub queue: String,
    /// Where it is.
    pub state: JobState,
    /// Its place among the tenant's jobs.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// When it was enqueued first, as its envelope says.
    pub created_at: DateTime<Utc>,
}

impl JobFilter {
    fn wants(&self, state: JobState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether it takes a job's record to tell.
    fn asks_for_contents(&self) -> bool {
        let times = [self.created_before, self.created_after];
        !self.kinds.is_empty() || !self.queues.is_empty() || times.iter().any(Option::is_some)
    }

    pub(super) fn matches(&self, job: &JobSummary) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&job.kind))
            && (self.queues.is_empty() || self.queues.contains(&job.queue))
            && self.created_before.is_none_or(|moment| job.created_at < moment)
            && self.created_after.is_none_or(|moment| job.created_at >= moment)
    }
}

impl Queue {
    /// One page of a tenant's open jobs that match `filter`, in no particular order between states: at most
    /// `limit` after leaving out `offset`.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn list(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<JobSummary>, QueueError> {
        let mut jobs = self.scan(tenant, filter, offset.saturating_add(limit)).await?;
        Ok(jobs.drain(..).skip(offset).take(limit).collect())
    }

    pub(super) async fn list_all(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
    ) -> Result<Vec<JobSummary>, QueueError> {
        self.scan(tenant, filter, usize::MAX).await
    }

    async fn scan(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        enough: usize,
    ) -> Result<Vec<JobSummary>, QueueError> {
        let mut found = Vec::new();
        for (place, state) in self.places(tenant, filter).await? {
            let mut offset = 0;
            loop {
                let ids = self.page(tenant, &place, offset).await?;
                let looked_at = ids.len();
                let summaries = self.summaries(tenant, ids, state).await?;
                found.extend(summaries.into_iter().filter(|job| filter.matches(job)));
                if found.len() >= enough {
                    return Ok(found);
                }
                if looked_at < PAGE {
                    break;
                }
                offset += PAGE;
            }
        }
        Ok(found)
    }

    /// Where jobs of the wanted states are.
    async fn places(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
    ) -> Result<Vec<(String, JobState)>, QueueError> {
        let mut places = Vec::new();
        if filter.wants(JobState::Available) || filter.wants(JobState::Parked) {
            let answer: Vec<String> =
                self.read_for(tenant, Operation::Places, vec![tenant.to_string()]).await?;
            let mut words = answer.into_iter();
            let state = words.next().and_then(|state| JobState::from_name(&state));
            let state = state.ok_or(QueueError::Answer("places"))?;
            if filter.wants(state) {
                places.extend(words.map(|list| (list, state)));
            }
        }
        let others = [
            ("a", JobState::Active),
            ("s", JobState::Scheduled),
            ("y", JobState::Retryable),
            ("k", JobState::Parked),
        ];
        places.extend(
            others.into_iter().filter(|(_, state)| filter.wants(*state)).map(|(at, s)| (at.into(), s)),
        );
        Ok(places)
    }

    async fn page(&self, tenant: &TenantId, place: &str, offset: usize) -> Result<Vec<String>, QueueError> {
        let arguments = vec![tenant.to_string(), place.to_owned(), offset.to_string(), PAGE.to_string()];
        let ids: Vec<Vec<u8>> = self.read_for(tenant, Operation::List, arguments).await?;
        // Damaged entries are no ids, and must not hide those that are.
        Ok(ids.iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect())
    }

    async fn summaries(
        &self,
        tenant: &TenantId,
        ids: Vec<String>,
        state: JobState,
    ) -> Result<Vec<JobSummary>, QueueError> {
        let records = self.records(self.home(tenant), &ids).await?;
        let both = ids.iter().zip(&records);
        Ok(both.filter_map(|(id, record)| summary(tenant, id, record.as_deref()?, state)).collect())
    }

    /// Dead letters or quarantined jobs that match `filter`: the oldest first, all that are there.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_where(
        &self,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
    ) -> Result<Vec<JobId>, QueueError> {
        let state = match kept {
            Kept::Discarded => JobState::Discarded,
            Kept::Quarantined => JobState::Quarantined,
        };
        if !filter.wants(state) {
            return Ok(Vec::new());
        }
        let (mut found, mut offset) = (Vec::new(), 0);
        loop {
            let page = self.kept(tenant, kept, offset, 200).await?;
            let wanted = |code: &str| filter.reason_code.as_deref().is_none_or(|wanted| wanted == code);
            let ids = page.iter().filter(|job| wanted(&job.reason.code)).map(|job| job.id);
            if filter.asks_for_contents() {
                let jobs = self.summaries(tenant, ids.map(|id| id.to_string()).collect(), state).await?;
                found.extend(jobs.iter().filter(|job| filter.matches(job)).map(|job| job.id));
            } else {
                found.extend(ids); // a damaged record, too, can be thrown away
            }
            if page.len() < 200 {
                found.reverse();
                return Ok(found);
            }
            offset += 200;
        }
    }
}

/// Reads what a record says without checking its signature: good enough to find a job, not to run it.
fn summary(tenant: &TenantId, id: &str, record: &[u8], state: JobState) -> Option<JobSummary> {
    let record = record::parse(record).filter(|record| record.tenant == tenant.as_str())?;
    let wire: WireEnvelope = serde_json::from_str(record.wire).ok()?;
    let envelope: Envelope = serde_json::from_str(wire.job.get()).ok()?;
    Some(JobSummary {
        id: id.parse().ok()?,
        kind: envelope.kind,
        queue: envelope.queue,
        state,
        priority: Priority::from_level(record.level),
        attempts: record.attempts,
        created_at: envelope.meta.created_at,
    })
}
