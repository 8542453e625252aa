use std::fmt;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Something that a tenant may have, or do, only so much of. The queue's own limits are none: it counts them
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Documents, in all knowledge bases together.
    MaxDocuments,
    /// Bytes of the documents' originals and of what is made of them.
    StorageBytes,
    /// Queries at once.
    ConcurrentQueries,
    /// Requests in a calendar month (UTC).
    ApiCallsPerMonth,
    /// Requests within any 60 seconds.
    RequestsPerMinute,
    /// Knowledge bases.
    Kbs,
    /// Entities in one knowledge base.
    EntitiesPerKb,
    /// Relations in one knowledge base.
    RelationsPerKb,
    /// People.
    Members,
    /// Jobs that requests and schedules ask for, in a day (UTC).
    DailyJobs,
    /// Schedules, in all knowledge bases together.
    MaxSchedules,
    /// API keys that were not revoked.
    MaxApiKeys,
    /// Idempotency-Keys whose answers are kept.
    IdempotencyKeys,
}

impl Quota {
    /// Every quota there is.
    pub const ALL: [Self; 13] = [
        Self::MaxDocuments,
        Self::StorageBytes,
        Self::ConcurrentQueries,
        Self::ApiCallsPerMonth,
        Self::RequestsPerMinute,
        Self::Kbs,
        Self::EntitiesPerKb,
        Self::RelationsPerKb,
        Self::Members,
        Self::DailyJobs,
        Self::MaxSchedules,
        Self::MaxApiKeys,
        Self::IdempotencyKeys,
    ];

    /// The name of its limit in plans and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxDocuments => "max_documents",
            Self::StorageBytes => "storage_bytes",
            Self::ConcurrentQueries => "concurrent_queries",
            Self::ApiCallsPerMonth => "api_calls_per_month",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::Kbs => "kbs",
            Self::EntitiesPerKb => "entities_per_kb",
            Self::RelationsPerKb => "relations_per_kb",
            Self::Members => "members",
            Self::DailyJobs => "daily_jobs",
            Self::MaxSchedules => "max_schedules",
            Self::MaxApiKeys => "max_api_keys",
            Self::IdempotencyKeys => "idempotency_keys",
        }
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::MaxDocuments => "documents",
            Self::StorageBytes => "bytes",
            Self::ConcurrentQueries => "queries",
            Self::ApiCallsPerMonth | Self::RequestsPerMinute => "requests",
            Self::Kbs => "knowledge bases",
            Self::EntitiesPerKb => "entities",
            Self::RelationsPerKb => "relations",
            Self::Members => "members",
            Self::DailyJobs => "jobs",
            Self::MaxSchedules => "schedules",
            Self::MaxApiKeys => "API keys",
            Self::IdempotencyKeys => "Idempotency-Keys",
        }
    }

    /// The largest limit that is taken: what is more is a slip of the hand, for which 0 says "no limit".
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::StorageBytes => 1 << 53,
            Self::ApiCallsPerMonth => 1_000_000_000_000,
            Self::MaxDocuments | Self::EntitiesPerKb | Self::RelationsPerKb | Self::DailyJobs => {
                1_000_000_000
            }
            Self::Kbs | Self::Members | Self::RequestsPerMinute | Self::IdempotencyKeys => 1_000_000,
            Self::ConcurrentQueries | Self::MaxSchedules | Self::MaxApiKeys => 100_000,
        }
    }

    /// The limit where neither plan nor tenant says one: nobody needs more of these, and without any a tenant could
    /// fill
    /// the catalog with them.
    #[must_use]
    pub const fn usual(self) -> Option<u64> {
        match self {
            Self::MaxSchedules | Self::MaxApiKeys => Some(1_000),
            Self::IdempotencyKeys => Some(20_000),
            _ => None,
        }
    }

    /// When the count begins anew, for what is counted by the calendar.
    #[must_use]
    pub fn resets_at(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = now.date_naive();
        let next = match self {
            Self::DailyJobs => today.checked_add_days(Days::new(1)),
            Self::ApiCallsPerMonth => month_of(today).checked_add_months(Months::new(1)),
            _ => None,
        };
        next.and_then(|day| day.and_hms_opt(0, 0, 0)).map(|midnight| midnight.and_utc())
    }

    /// The same in whole seconds from now, at least 1.
    #[must_use]
    pub fn resets_in_s(self, now: DateTime<Utc>) -> Option<u32> {
        let left = self.resets_at(now)? - now;
        let seconds = (left + TimeDelta::milliseconds(999)).num_seconds();
        Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }
}

fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a tenant's data is kept apart from that of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In tables that tenants share, each row behind row-level security. The only one there is so far.
    #[default]
    Shared,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_counted_by_the_calendar_begins_anew_at_midnight_utc() {
        let night = at("2027-12-31T23:59:58.500Z");
        let new_year = Some(at("2028-01-01T00:00:00Z"));
        assert_eq!(Quota::DailyJobs.resets_at(night), new_year);
        assert_eq!(Quota::ApiCallsPerMonth.resets_at(night), new_year);
        assert_eq!(Quota::DailyJobs.resets_in_s(night), Some(2));
        let leap = at("2028-02-29T00:00:00Z");
        assert_eq!(Quota::DailyJobs.resets_in_s(leap), Some(86_400));
        assert_eq!(Quota::ApiCallsPerMonth.resets_at(leap), Some(at("2028-03-01T00:00:00Z")));
        assert_eq!(Quota::MaxDocuments.resets_at(leap), None);
    }
}
