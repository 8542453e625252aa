use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::plan::{Limits, Quota};
use jobs::tenant::ApiKeyId;

use super::{GraphCounts, NewDocument};

/// Usage of a tenant, as the catalog counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Documents, in all knowledge bases.
    pub documents: u64,
    /// Bytes of originals and of derived data.
    pub storage_bytes: u64,
    /// Bytes of derived data alone: texts, chunks, extractions, their part of the graph.
    pub derived_bytes: u64,
    /// Knowledge bases.
    pub kbs: u64,
    /// Members who were not removed, and invitations that are open.
    pub members: u64,
    /// Schedules, in all knowledge bases.
    pub schedules: u64,
    /// API keys that were not revoked.
    pub api_keys: u64,
    /// Endpoints for webhooks.
    pub webhooks: u64,
    /// Idempotency-Keys whose answers are stored.
    pub idempotency_keys: u64,
    /// Jobs that requests and schedules asked for today (UTC).
    pub daily_jobs: u64,
    /// Requests that were counted, today and this month (UTC).
    pub api_calls: ApiCalls,
}

/// Requests that were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApiCalls {
    /// In the day (UTC).
    pub day: u64,
    /// In the calendar month (UTC).
    pub month: u64,
}

impl Usage {
    /// The quota that `jobs` more jobs today would exceed.
    #[must_use]
    pub fn jobs_refused(&self, limits: &Limits, jobs: usize) -> Option<OverQuota> {
        over(limits, Quota::DailyJobs, self.daily_jobs, i64::try_from(jobs).unwrap_or(i64::MAX))
    }
}

/// An exceeded quota; nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// Which quota.
    pub quota: Quota,
    /// The present amount.
    pub current: u64,
    /// The limit.
    pub maximum: u64,
}

/// Growth caused by new documents, where some replace known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Documents.
    pub documents: i64,
    /// Bytes: negative when smaller originals replace larger ones.
    pub storage_bytes: i64,
}

impl Growth {
    /// The growth caused by `new`, where `known` of them, with `known_bytes`, exist and will be replaced.
    #[must_use]
    pub fn of(new: &[NewDocument], known: u64, known_bytes: u64) -> Self {
        let bytes = new.iter().fold(0_u64, |sum, document| sum.saturating_add(document.size_bytes));
        let count = u64::try_from(new.len()).unwrap_or(u64::MAX);
        let difference = |more: u64, less: u64| signed(more).saturating_sub(signed(less));
        Self { documents: difference(count, known), storage_bytes: difference(bytes, known_bytes) }
    }

    /// The quota that the growth would exceed in a tenant with `usage`.
    ///
    /// Only growth is rejected: a tenant that is over a limit, because it was lowered, can still replace a document
    /// by a smaller one.
    #[must_use]
    pub fn refused(self, limits: &Limits, usage: &Usage) -> Option<OverQuota> {
        let documents = over(limits, Quota::MaxDocuments, usage.documents, self.documents);
        documents.or_else(|| over(limits, Quota::StorageBytes, usage.storage_bytes, self.storage_bytes))
    }
}

/// Bytes derived from a document, as a store would keep them without overhead of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// Its text and chunks.
    Text(u64),
    /// Its extractions and its part of the graph.
    Graph(u64),
}

/// The quota that `after` bytes in place of `before` would exceed in a tenant that stores `current` bytes.
pub(crate) fn storage_refused(limits: &Limits, current: u64, before: u64, after: u64) -> Option<OverQuota> {
    over(limits, Quota::StorageBytes, current, signed(after).saturating_sub(signed(before)))
}

/// The quota that the last of `count` things, which was just inserted, exceeds.
pub(crate) fn last_refused(limits: &Limits, quota: Quota, count: u64) -> Option<OverQuota> {
    over(limits, quota, count.saturating_sub(1), 1)
}

/// The quota that a graph would exceed by growing from `before` to `after`.
pub(crate) fn graph_refused(limits: &Limits, before: &GraphCounts, after: &GraphCounts) -> Option<OverQuota> {
    let growth = |before: u64, after: u64| signed(after).saturating_sub(signed(before));
    let entities = growth(before.entities, after.entities);
    let relations = growth(before.relations, after.relations);
    over(limits, Quota::EntitiesPerKb, before.entities, entities)
        .or_else(|| over(limits, Quota::RelationsPerKb, before.relations, relations))
}

/// The quota, if `growth` on top of `current` would exceed it.
fn over(limits: &Limits, quota: Quota, current: u64, growth: i64) -> Option<OverQuota> {
    let maximum = limits.maximum(quota)?;
    let growth = u64::try_from(growth).ok().filter(|growth| *growth > 0)?;
    (current.saturating_add(growth) > maximum).then_some(OverQuota { quota, current, maximum })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What requests of a tenant leave to be written after they were answered. None of it is part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookkeeping {
    /// A moment in the day of `calls`.
    pub at: DateTime<Utc>,
    /// Requests that were not counted yet.
    pub calls: u64,
    /// When API keys were used last.
    pub keys_used: Vec<(ApiKeyId, DateTime<Utc>)>,
    /// Jobs in the outbox that the queue has.
    pub delivered: Vec<JobId>,
}

/// A counter for events that leave no rows to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Jobs of requests and schedules, by day.
    Jobs,
    /// Requests, by day.
    ApiCallsOfDay,
    /// Requests, by month. In tables it has the name of those by day: their periods tell them apart.
    ApiCallsOfMonth,
}

impl Counter {
    /// The name in tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::ApiCallsOfDay | Self::ApiCallsOfMonth => "api_calls",
        }
    }

    /// The day or month (UTC) of `now`, as stored.
    pub(crate) fn period(self, now: DateTime<Utc>) -> String {
        let format = match self {
            Self::Jobs | Self::ApiCallsOfDay => "%Y-%m-%d",
            Self::ApiCallsOfMonth => "%Y-%m",
        };
        now.format(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(growth: (i64, i64), usage: (u64, u64), limits: (u64, u64)) -> Option<(Quota, u64, u64)> {
        let limits =
            Limits { max_documents: Some(limits.0), storage_bytes: Some(limits.1), ..Limits::default() };
        let usage = Usage { documents: usage.0, storage_bytes: usage.1, ..Usage::default() };
        let refused = Growth { documents: growth.0, storage_bytes: growth.1 }.refused(&limits, &usage);
        refused.map(|over| (over.quota, over.current, over.maximum))
    }

    #[test]
    fn what_fits_is_taken_to_the_last_byte_and_nothing_more() {
        assert_eq!(refused((1, 10), (9, 90), (10, 100)), None);
        assert_eq!(refused((2, 10), (9, 90), (10, 100)), Some((Quota::MaxDocuments, 9, 10)));
        assert_eq!(refused((1, 11), (9, 90), (10, 100)), Some((Quota::StorageBytes, 90, 100)));
        assert_eq!(refused((1_000, 1_000), (9, 90), (0, 0)), None, "0 is no limit");
    }

    #[test]
    fn who_has_too_much_may_have_less() {
        assert_eq!(refused((0, -5), (20, 200), (10, 100)), None);
        assert_eq!(refused((0, 0), (20, 200), (10, 100)), None);
        assert_eq!(refused((0, 1), (20, 200), (10, 100)), Some((Quota::StorageBytes, 200, 100)));
        assert_eq!(refused((1, -5), (20, 200), (10, 100)), Some((Quota::MaxDocuments, 20, 10)));
    }
}
