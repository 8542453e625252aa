//! Limits of tenants, and plans: named sets of them.
//!
//! Plans belong to the operator, not to a tenant, so they are configuration and no table: every row of the
//! catalog has a tenant. What one tenant has beyond its plan is kept in that tenant's own row.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::job::Job as _;
use crate::queue::PartitionShare;
use crate::tenant::TenantStatus;
use crate::types::DeliverWebhook;

/// The plans of an installation: those of a file, or, by default, `free`, `pro` and `enterprise`. There is
/// always one called [`Plans::USUAL`], without limits unless it is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    plans: BTreeMap<String, Limits>,
    newcomers: String,
}

/// Plans that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlans {
    /// The file cannot be read.
    #[error("the file cannot be read ({}): name a TOML file that this process may read", crate::error::plain_io(.0))]
    File(std::io::Error),
    /// The text is not a table of plans.
    #[error(
        "line {line}: {text}: {message}: write a table [plan.NAME] for each plan, its limits whole numbers, 0 for no limit"
    )]
    Syntax {
        /// The number of the line with the error.
        line: usize,
        /// The text of the line.
        text: String,
        /// The parser's message.
        message: String,
    },
    /// A name cannot be used.
    #[error("plan {0:?}: a name has 1 to 63 of a-z, 0-9, - and _")]
    Name(String),
    /// A limit cannot be used.
    #[error("plan {plan}: {limit}")]
    Limit {
        /// The name of the plan.
        plan: String,
        /// The limit, and the values that are expected.
        limit: InvalidLimit,
    },
    /// Newcomers are to have a plan that is not there.
    #[error("there is no plan {plan}: choose one of {known}, or define it in the file of TENANTRY_PLANS")]
    Unknown {
        /// The plan that was named.
        plan: String,
        /// Those that are there.
        known: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    plan: BTreeMap<String, Limits>,
}

impl Default for Plans {
    fn default() -> Self {
        Self::parse(include_str!("plan/built_in.toml")).expect("a test reads the plans that are built in")
    }
}

impl Plans {
    /// The plan that is always there, without limits unless a file defines it.
    pub const USUAL: &'static str = "standard";
    /// The setting that names the plan of newcomers.
    pub const NEWCOMERS_SETTING: &'static str = "TENANTRY_DEFAULT_PLAN";
    /// The setting that names the file with the plans.
    pub const SETTING: &'static str = "TENANTRY_PLANS";

    /// Reads plans from a TOML file with a table `[plan.NAME]` for each.
    ///
    /// # Errors
    /// When the file cannot be read or a plan in it cannot be used.
    pub fn load(path: &Path) -> Result<Self, InvalidPlans> {
        Self::parse(&std::fs::read_to_string(path).map_err(InvalidPlans::File)?)
    }

    /// Reads plans from TOML.
    ///
    /// # Errors
    /// When a plan cannot be used.
    pub fn parse(text: &str) -> Result<Self, InvalidPlans> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count();
            InvalidPlans::Syntax {
                line: line + 1,
                text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
                message: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
            }
        })?;
        for (name, limits) in &file.plan {
            let label =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            if !(1..=63).contains(&name.len()) || !name.bytes().all(label) {
                return Err(InvalidPlans::Name(name.clone()));
            }
            limits.check().map_err(|limit| InvalidPlans::Limit { plan: name.clone(), limit })?;
        }
        Ok(Self { plans: file.plan, newcomers: Self::USUAL.to_owned() })
    }

    /// Gives newcomers `plan`, in which `limits` count in place of what it says. Tenants that are there keep theirs.
    ///
    /// # Errors
    /// When there is no such plan, or one of the limits cannot be used.
    pub fn with_newcomers(mut self, plan: &str, limits: &Limits) -> Result<Self, InvalidPlans> {
        if !self.has(plan) {
            let known = self.names().join(", ");
            return Err(InvalidPlans::Unknown { plan: plan.to_owned(), known });
        }
        limits.check().map_err(|limit| InvalidPlans::Limit { plan: plan.to_owned(), limit })?;
        if !limits.is_empty() {
            let changed = self.limits(plan, limits);
            self.plans.insert(plan.to_owned(), changed);
        }
        plan.clone_into(&mut self.newcomers);
        Ok(self)
    }

    /// The plan of tenants for which none is chosen when they are made: [`Plans::USUAL`] unless
    /// [`Plans::with_newcomers`] named another.
    #[must_use]
    pub fn newcomers(&self) -> &str {
        &self.newcomers
    }

    /// Whether there is such a plan.
    #[must_use]
    pub fn has(&self, plan: &str) -> bool {
        plan == Self::USUAL || self.plans.contains_key(plan)
    }

    /// The names of all plans.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.plans.keys().map(String::as_str).collect();
        if !names.contains(&Self::USUAL) {
            names.push(Self::USUAL);
        }
        names
    }

    /// The limits of a tenant of `plan` that has limits of its own.
    #[must_use]
    pub fn limits(&self, plan: &str, own: &Limits) -> Limits {
        self.plans.get(plan).map_or_else(|| own.clone(), |plan| own.over(plan))
    }

    /// What the queue shall know of a tenant: its limits, and whether it is suspended.
    #[must_use]
    pub fn share(&self, plan: &str, own: &Limits, status: TenantStatus) -> PartitionShare {
        let suspended = Some(status == TenantStatus::Suspended);
        PartitionShare { suspended, ..self.limits(plan, own).share() }
    }

    /// Whether the plan or the tenant's own limits set anything. If not, the queue's settings are left alone: a
    /// program with rules of its own may have set them.
    #[must_use]
    pub fn decide(&self, plan: &str, own: &Limits) -> bool {
        self.plans.contains_key(plan) || !own.is_empty()
    }
}

/// What a tenant may use. What is not said is not limited, or, in what one tenant has beyond its plan, is as
/// the plan says. 0 means that there is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Share of the workers' time compared with other tenants, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Maximum number of running jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
    /// How many jobs of a type may run at once, by job type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub type_caps: BTreeMap<String, u32>,
    /// The shortest mean distance between two starts, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u32>,
    /// How many jobs may start at once after a pause, where `interval_ms` limits the rate; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Maximum number of waiting jobs, scheduled ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_jobs: Option<u64>,
    /// How many bytes the jobs that wait or run may have together in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_bytes: Option<u64>,
    /// Maximum number of scheduled jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_jobs: Option<u64>,
    /// How many documents there may be, in all knowledge bases together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_documents: Option<u64>,
    /// Maximum size of the documents' originals together, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    /// Maximum number of concurrent queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_queries: Option<u64>,
    /// How many requests are answered in a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_calls_per_day: Option<u64>,
    /// How many requests are answered in a calendar month (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_calls_per_month: Option<u64>,
    /// How many requests are answered within any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Maximum number of knowledge bases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kbs: Option<u64>,
    /// Maximum number of entities in one knowledge base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities_per_kb: Option<u64>,
    /// Maximum number of relations in one knowledge base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations_per_kb: Option<u64>,
    /// Maximum number of members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// How many jobs requests and schedules may ask for in a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_jobs: Option<u64>,
    /// How many schedules there may be, in all knowledge bases together; 1000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_schedules: Option<u64>,
    /// How many API keys there may be; 1000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_api_keys: Option<u64>,
    /// How many endpoints for webhooks there may be; 20 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_webhooks: Option<u64>,
    /// How many Idempotency-Keys may be kept at once; 20000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_keys: Option<u64>,
    /// How the tenant's data is kept apart. Recorded only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

/// A limit that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidLimit {
    /// The name of the limit.
    pub field: String,
    /// The values that are expected.
    pub problem: String,
}

/// The largest number that the queue counts with exactly.
const MOST: u64 = 1 << 53;

impl Limits {
    /// Whether no limit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks ranges that the types do not express.
    ///
    /// # Errors
    /// The first limit that cannot be used.
    pub fn check(&self) -> Result<(), InvalidLimit> {
        let invalid = |field: &str, problem: &str| {
            Err(InvalidLimit { field: field.to_owned(), problem: problem.to_owned() })
        };
        if self.weight.is_some_and(|weight| !(1..=100).contains(&weight)) {
            return invalid("weight", "expected 1 to 100");
        }
        if self.burst == Some(0) {
            return invalid("burst", "expected at least 1");
        }
        let amounts = [
            ("backlog_jobs", self.backlog_jobs),
            ("backlog_bytes", self.backlog_bytes),
            ("scheduled_jobs", self.scheduled_jobs),
        ];
        if let Some((field, _)) = amounts.into_iter().find(|(_, amount)| amount.is_some_and(|n| n > MOST)) {
            return invalid(field, "expected at most 2^53");
        }
        if let Some(quota) = Quota::ALL.into_iter().find(|quota| self.said(*quota) > Some(quota.most())) {
            let problem = format!("expected 1 to {} {}, or 0 for no limit", quota.most(), quota.unit());
            return invalid(quota.as_str(), &problem);
        }
        match self.type_caps.keys().find(|kind| !is_kind(kind)) {
            Some(kind) => invalid(&format!("type_caps.{kind}"), "expected job types such as document.ingest"),
            None => Ok(()),
        }
    }

    /// How much of something the tenant may have; `None` when that is not limited.
    #[must_use]
    pub fn maximum(&self, quota: Quota) -> Option<u64> {
        self.said(quota).or(quota.usual()).filter(|maximum| *maximum > 0)
    }

    const fn said(&self, quota: Quota) -> Option<u64> {
        match quota {
            Quota::MaxDocuments => self.max_documents,
            Quota::StorageBytes => self.storage_bytes,
            Quota::ConcurrentQueries => self.concurrent_queries,
            Quota::ApiCallsPerDay => self.api_calls_per_day,
            Quota::ApiCallsPerMonth => self.api_calls_per_month,
            Quota::RequestsPerMinute => self.requests_per_minute,
            Quota::Kbs => self.kbs,
            Quota::EntitiesPerKb => self.entities_per_kb,
            Quota::RelationsPerKb => self.relations_per_kb,
            Quota::Members => self.members,
            Quota::DailyJobs => self.daily_jobs,
            Quota::MaxSchedules => self.max_schedules,
            Quota::MaxApiKeys => self.max_api_keys,
            Quota::MaxWebhooks => self.max_webhooks,
            Quota::IdempotencyKeys => self.idempotency_keys,
        }
    }

    /// These limits, filled up with those of `plan`.
    #[must_use]
    pub fn over(&self, plan: &Self) -> Self {
        let mut type_caps = plan.type_caps.clone();
        type_caps.extend(self.type_caps.clone());
        Self {
            weight: self.weight.or(plan.weight),
            cap: self.cap.or(plan.cap),
            type_caps,
            interval_ms: self.interval_ms.or(plan.interval_ms),
            burst: self.burst.or(plan.burst),
            backlog_jobs: self.backlog_jobs.or(plan.backlog_jobs),
            backlog_bytes: self.backlog_bytes.or(plan.backlog_bytes),
            scheduled_jobs: self.scheduled_jobs.or(plan.scheduled_jobs),
            max_documents: self.max_documents.or(plan.max_documents),
            storage_bytes: self.storage_bytes.or(plan.storage_bytes),
            concurrent_queries: self.concurrent_queries.or(plan.concurrent_queries),
            api_calls_per_day: self.api_calls_per_day.or(plan.api_calls_per_day),
            api_calls_per_month: self.api_calls_per_month.or(plan.api_calls_per_month),
            requests_per_minute: self.requests_per_minute.or(plan.requests_per_minute),
            kbs: self.kbs.or(plan.kbs),
            entities_per_kb: self.entities_per_kb.or(plan.entities_per_kb),
            relations_per_kb: self.relations_per_kb.or(plan.relations_per_kb),
            members: self.members.or(plan.members),
            daily_jobs: self.daily_jobs.or(plan.daily_jobs),
            max_schedules: self.max_schedules.or(plan.max_schedules),
            max_api_keys: self.max_api_keys.or(plan.max_api_keys),
            max_webhooks: self.max_webhooks.or(plan.max_webhooks),
            idempotency_keys: self.idempotency_keys.or(plan.idempotency_keys),
            isolation: self.isolation.or(plan.isolation),
        }
    }

    /// The limits in the queue's terms. All of them are set, so that a limit that was removed ends in the queue too.
    #[must_use]
    pub fn share(&self) -> PartitionShare {
        let some = |number: u32| Some(number).filter(|&number| number > 0);
        let usual = PartitionShare::usual();
        PartitionShare {
            weight: self.weight.or(usual.weight),
            cap: self.cap.and_then(some).or(usual.cap),
            type_caps: self.queue_type_caps().map(|(kind, cap)| (kind, some(cap))).collect(),
            only_these_type_caps: true,
            interval_ms: self.interval_ms.or(usual.interval_ms),
            burst: self.burst.or(usual.burst),
            backlog_jobs: self.backlog_jobs.or(usual.backlog_jobs),
            backlog_bytes: self.backlog_bytes.or(usual.backlog_bytes),
            scheduled_jobs: self.scheduled_jobs.or(usual.scheduled_jobs),
            ..usual
        }
    }
}

impl Limits {
    /// How many deliveries of webhooks a tenant may have running at once, unless its limits say otherwise: at most half
    /// of what it may run at all, so that targets which hang leave room for the tenant's other jobs.
    #[must_use]
    pub fn webhooks_at_once(&self) -> u32 {
        const USUAL: u32 = 4;
        let said = self.type_caps.get(DeliverWebhook::TYPE).copied();
        let half = self.cap.filter(|cap| *cap > 0).map_or(USUAL, |cap| (cap / 2).clamp(1, USUAL));
        said.unwrap_or(half)
    }

    fn queue_type_caps(&self) -> impl Iterator<Item = (String, u32)> {
        let webhooks = (DeliverWebhook::TYPE.to_owned(), self.webhooks_at_once());
        let others = self.type_caps.iter().filter(|(kind, _)| *kind != DeliverWebhook::TYPE);
        others.map(|(kind, cap)| (kind.clone(), *cap)).chain([webhooks])
    }
}

fn is_kind(kind: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=100).contains(&kind.len()) && kind.bytes().all(ok)
}

/// Something that a tenant may have, or do, only so much of. The queue's own limits are none: it counts them
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Documents, in all knowledge bases together.
    MaxDocuments,
    /// Bytes of the documents' originals and of the data derived from them.
    StorageBytes,
    /// Queries at once.
    ConcurrentQueries,
    /// Requests in a day (UTC).
    ApiCallsPerDay,
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
    /// Endpoints for webhooks.
    MaxWebhooks,
    /// Idempotency-Keys whose answers are stored.
    IdempotencyKeys,
}

impl Quota {
    /// Every quota there is.
    pub const ALL: [Self; 15] = [
        Self::MaxDocuments,
        Self::StorageBytes,
        Self::ConcurrentQueries,
        Self::ApiCallsPerDay,
        Self::ApiCallsPerMonth,
        Self::RequestsPerMinute,
        Self::Kbs,
        Self::EntitiesPerKb,
        Self::RelationsPerKb,
        Self::Members,
        Self::DailyJobs,
        Self::MaxSchedules,
        Self::MaxApiKeys,
        Self::MaxWebhooks,
        Self::IdempotencyKeys,
    ];

    /// The name of its limit in plans and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxDocuments => "max_documents",
            Self::StorageBytes => "storage_bytes",
            Self::ConcurrentQueries => "concurrent_queries",
            Self::ApiCallsPerDay => "api_calls_per_day",
            Self::ApiCallsPerMonth => "api_calls_per_month",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::Kbs => "kbs",
            Self::EntitiesPerKb => "entities_per_kb",
            Self::RelationsPerKb => "relations_per_kb",
            Self::Members => "members",
            Self::DailyJobs => "daily_jobs",
            Self::MaxSchedules => "max_schedules",
            Self::MaxApiKeys => "max_api_keys",
            Self::MaxWebhooks => "max_webhooks",
            Self::IdempotencyKeys => "idempotency_keys",
        }
    }

    /// The unit in which the quota counts.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::MaxDocuments => "documents",
            Self::StorageBytes => "bytes",
            Self::ConcurrentQueries => "queries",
            Self::ApiCallsPerDay | Self::ApiCallsPerMonth | Self::RequestsPerMinute => "requests",
            Self::Kbs => "knowledge bases",
            Self::EntitiesPerKb => "entities",
            Self::RelationsPerKb => "relations",
            Self::Members => "members",
            Self::DailyJobs => "jobs",
            Self::MaxSchedules => "schedules",
            Self::MaxApiKeys => "API keys",
            Self::MaxWebhooks => "webhooks",
            Self::IdempotencyKeys => "Idempotency-Keys",
        }
    }

    /// The largest limit that is accepted: a larger one is taken for a mistake; 0 means "no limit".
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::StorageBytes => 1 << 53,
            Self::ApiCallsPerDay | Self::ApiCallsPerMonth => 1_000_000_000_000,
            Self::MaxDocuments | Self::EntitiesPerKb | Self::RelationsPerKb | Self::DailyJobs => {
                1_000_000_000
            }
            Self::Kbs | Self::Members | Self::RequestsPerMinute | Self::IdempotencyKeys => 1_000_000,
            Self::ConcurrentQueries | Self::MaxSchedules | Self::MaxApiKeys => 100_000,
            // Every event is written down once for each.
            Self::MaxWebhooks => 1_000,
        }
    }

    /// The default limit where neither plan nor tenant sets one. It is far above normal use; without it a tenant could
    /// fill the catalog with such rows.
    #[must_use]
    pub const fn usual(self) -> Option<u64> {
        match self {
            Self::MaxSchedules | Self::MaxApiKeys => Some(1_000),
            Self::IdempotencyKeys => Some(20_000),
            Self::MaxWebhooks => Some(20),
            _ => None,
        }
    }

    /// When the count starts again at 0, for quotas by calendar month.
    #[must_use]
    pub fn resets_at(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = now.date_naive();
        let next = match self {
            Self::DailyJobs | Self::ApiCallsPerDay => today.checked_add_days(Days::new(1)),
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

    const TEXT: &str = "
        [plan.free]
        cap = 2
        backlog_jobs = 100
        [plan.free.type_caps]
        \"document.ingest\" = 1
        [plan.pro]
        weight = 4
    ";

    #[test]
    fn plans_are_read_from_a_file() {
        let plans = Plans::parse(TEXT).unwrap();
        assert_eq!(plans.names(), ["free", "pro", "standard"]);
        let free = plans.limits("free", &Limits { cap: Some(3), ..Limits::default() });
        assert_eq!((free.cap, free.backlog_jobs, free.type_caps["document.ingest"]), (Some(3), Some(100), 1));
        assert!(plans.limits("standard", &Limits::default()).is_empty());
        assert!(plans.decide("free", &Limits::default()) && !plans.decide("standard", &Limits::default()));
        let share = plans.share("pro", &Limits::default(), TenantStatus::Suspended);
        assert_eq!((share.weight, share.suspended), (Some(4), Some(true)));
    }

    #[test]
    fn without_a_file_there_are_three_plans_with_every_quota() {
        let plans = Plans::default();
        assert_eq!(plans.names(), ["enterprise", "free", "pro", "standard"]);
        let none = Limits::default();
        let maximum = |plan: &str, quota| plans.limits(plan, &none).maximum(quota);
        for quota in Quota::ALL {
            let [free, pro, enterprise] = ["free", "pro", "enterprise"].map(|plan| maximum(plan, quota));
            assert!(free.is_some() && free < pro && pro < enterprise, "{quota}");
            assert_eq!(maximum("standard", quota), quota.usual(), "{quota}");
        }
    }

    /// What the guides that clients are written after give a tenant that says nothing.
    #[test]
    fn the_free_plan_has_the_quotas_of_the_guide() {
        let free = Plans::default().limits("free", &Limits::default());
        for (quota, maximum) in [
            (Quota::MaxDocuments, 10_000),
            (Quota::StorageBytes, 100_000_000_000),
            (Quota::ConcurrentQueries, 10),
            (Quota::ApiCallsPerMonth, 100_000),
            (Quota::Kbs, 50),
            (Quota::EntitiesPerKb, 100_000),
            (Quota::RelationsPerKb, 500_000),
            (Quota::Members, 100),
        ] {
            assert_eq!(free.maximum(quota), Some(maximum), "{quota}");
        }
    }

    #[test]
    fn newcomers_get_the_plan_that_is_named_and_its_limits_may_be_changed() {
        assert_eq!(Plans::default().newcomers(), "standard");
        let fewer = Limits { members: Some(7), ..Limits::default() };
        let plans = Plans::default().with_newcomers("free", &fewer).unwrap();
        assert_eq!(plans.newcomers(), "free");
        let of = |plan: &str, quota| plans.limits(plan, &Limits::default()).maximum(quota);
        assert_eq!((of("free", Quota::Members), of("free", Quota::Kbs)), (Some(7), Some(50)));
        assert_eq!(of("pro", Quota::Members), Plans::default().limits("pro", &Limits::default()).members);
        let standard = Plans::default().with_newcomers("standard", &fewer).unwrap();
        assert_eq!(standard.limits("standard", &Limits::default()), fewer);
        let unknown = Plans::parse(TEXT).unwrap().with_newcomers("gold", &fewer).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no plan gold: choose one of free, pro, standard, or define it in the file of TENANTRY_PLANS"
        );
        let many = Limits { members: Some(2_000_000), ..Limits::default() };
        let refused = Plans::default().with_newcomers("free", &many).unwrap_err().to_string();
        assert!(refused.starts_with("plan free: members: expected 1 to 1000000"), "{refused}");
    }

    #[test]
    fn plans_that_cannot_be_used_say_which_and_why() {
        for (text, expected) in [
            ("[plan.free]\ncap = \"two\"", "cap"),
            ("[plan.free]\nmax = 2", "max"),
            ("[plans.free]\ncap = 2", "plan"),
            ("[plan.free]\nweight = 0", "plan free: weight: expected 1 to 100"),
            ("[plan.\"A b\"]\ncap = 1", "A b"),
            ("[plan.free]\nkbs = -1", "line 2: "),
            ("[plan.free]\nkbs = 2.5", "0 for no limit"),
            ("[plan.free]\nmembers = 2_000_000", "plan free: members: expected 1 to 1000000 members"),
            ("[plan.free]\nisolation = \"planet\"", "expected `shared`"),
        ] {
            let error = Plans::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let missing = Plans::load(Path::new("/nowhere/plans.toml")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the file cannot be read (no such file or directory): name a TOML file that this process may read"
        );
    }

    fn limits(json: &str) -> Limits {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_a_tenant_has_goes_before_what_its_plan_says() {
        let plan =
            limits(r#"{"weight": 2, "cap": 4, "type_caps": {"a.b": 1, "c.d": 2}, "backlog_jobs": 100}"#);
        let own = limits(r#"{"cap": 0, "type_caps": {"a.b": 0}, "scheduled_jobs": 7}"#);
        let both = own.over(&plan);
        assert_eq!((both.weight, both.cap, both.backlog_jobs), (Some(2), Some(0), Some(100)));
        let share = both.share();
        assert_eq!(share.cap, Some(u32::MAX), "0 is no limit, not no job");
        assert_eq!(share.type_caps["a.b"], None);
        assert_eq!(share.type_caps["c.d"], Some(2));
        assert_eq!((share.scheduled_jobs, share.backlog_bytes), (Some(7), Some(0)));
        assert_eq!(Limits::default().over(&plan), plan);
    }

    #[test]
    fn webhooks_leave_room_for_other_jobs() {
        let at_once = |json: &str| limits(json).share().type_caps[DeliverWebhook::TYPE];
        for (json, expected) in [
            ("{}", Some(4)),
            (r#"{"cap": 1}"#, Some(1)),
            (r#"{"cap": 2}"#, Some(1)),
            (r#"{"cap": 5}"#, Some(2)),
            (r#"{"cap": 200}"#, Some(4)),
            (r#"{"cap": 0}"#, Some(4)),
            (r#"{"cap": 2, "type_caps": {"webhook.deliver": 9}}"#, Some(9)),
            (r#"{"type_caps": {"webhook.deliver": 0}}"#, None),
        ] {
            assert_eq!(at_once(json), expected, "{json}");
        }
    }

    #[test]
    fn a_share_never_touches_what_is_not_a_limit() {
        let share = Limits::default().share();
        assert_eq!((share.paused, share.suspended, share.draining), (None, None, None));
    }

    #[test]
    fn limits_that_cannot_be_used_are_named() {
        for (json, field) in [
            (r#"{"weight": 0}"#, "weight"),
            (r#"{"weight": 101}"#, "weight"),
            (r#"{"burst": 0}"#, "burst"),
            (r#"{"backlog_bytes": 9007199254740993}"#, "backlog_bytes"),
            (r#"{"type_caps": {"a b": 1}}"#, "type_caps.a b"),
            (r#"{"kbs": 1000001}"#, "kbs"),
            (r#"{"storage_bytes": 9007199254740993}"#, "storage_bytes"),
        ] {
            assert_eq!(limits(json).check().unwrap_err().field, field);
        }
        assert!(limits(r#"{"weight": 100, "cap": 0, "burst": 1}"#).check().is_ok());
        let problem = limits(r#"{"requests_per_minute": 1000001}"#).check().unwrap_err().to_string();
        assert_eq!(problem, "requests_per_minute: expected 1 to 1000000 requests, or 0 for no limit");
    }

    /// A quota that was forgotten somewhere would silently not be limited.
    #[test]
    fn every_quota_has_a_limit_of_its_name() {
        for quota in Quota::ALL {
            let own = limits(&format!(r#"{{"{quota}": 7}}"#));
            assert_eq!(own.maximum(quota), Some(7), "{quota}");
            assert_eq!(Limits::default().over(&own).maximum(quota), Some(7), "{quota}");
            assert_eq!(limits(&format!(r#"{{"{quota}": 0}}"#)).over(&own).maximum(quota), None, "{quota}");
            for other in Quota::ALL.into_iter().filter(|other| *other != quota) {
                assert_eq!(own.maximum(other), other.usual(), "{quota}, {other}");
            }
        }
        let own = limits(r#"{"isolation": "shared"}"#);
        assert_eq!(Limits::default().over(&own).isolation, Some(Isolation::Shared));
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_counted_by_the_calendar_begins_anew_at_midnight_utc() {
        let night = at("2027-12-31T23:59:58.500Z");
        let new_year = Some(at("2028-01-01T00:00:00Z"));
        assert_eq!(Quota::DailyJobs.resets_at(night), new_year);
        assert_eq!(Quota::ApiCallsPerDay.resets_at(night), new_year);
        assert_eq!(Quota::ApiCallsPerMonth.resets_at(night), new_year);
        assert_eq!(Quota::DailyJobs.resets_in_s(night), Some(2));
        let leap = at("2028-02-29T00:00:00Z");
        assert_eq!(Quota::DailyJobs.resets_in_s(leap), Some(86_400));
        assert_eq!(Quota::ApiCallsPerMonth.resets_at(leap), Some(at("2028-03-01T00:00:00Z")));
        assert_eq!(Quota::MaxDocuments.resets_at(leap), None);
    }
}
