//! How long the catalog keeps what nobody deletes.

use chrono::TimeDelta;

/// How long the answer to a request is given again under its idempotency key.
pub(crate) const IDEMPOTENCY_KEPT: TimeDelta = TimeDelta::hours(24);
/// How many answers that are too old one request removes: more than it adds.
pub(crate) const IDEMPOTENCY_PRUNED: i64 = 20;
/// How long the record of a job is kept.
pub(crate) const HISTORY_KEPT: TimeDelta = TimeDelta::days(30);
/// How many records of jobs a tenant keeps.
pub(crate) const HISTORY_KEPT_MAX: i64 = 10_000;
/// How many records that are too old or too many one call removes: more than it adds.
pub(crate) const HISTORY_PRUNED: i64 = 500;
/// How long tries at a gate are remembered, at most.
pub(crate) const GATES_KEPT: TimeDelta = TimeDelta::days(2);
/// How many API keys that were revoked a tenant keeps; they show who did something long ago.
pub(crate) const REVOKED_KEPT_MAX: i64 = 1_000;
/// How many of the older ones go when a key is made: more than it adds.
pub(crate) const REVOKED_PRUNED: i64 = 20;
