//! Retention: how long the catalog keeps rows that no request deletes, and how many it prunes at once.

use chrono::TimeDelta;

/// How long the answer to a request is repeated for its idempotency key.
pub(crate) const IDEMPOTENCY_KEPT: TimeDelta = TimeDelta::hours(24);
/// Expired answers that one request prunes: more than it adds, so that they cannot pile up.
pub(crate) const IDEMPOTENCY_PRUNED: i64 = 20;
/// How long the record of a job is kept.
pub(crate) const HISTORY_KEPT: TimeDelta = TimeDelta::days(30);
/// Job records kept for each tenant.
pub(crate) const HISTORY_KEPT_MAX: i64 = 10_000;
/// Records that one call prunes: more than it adds.
pub(crate) const HISTORY_PRUNED: i64 = 500;
/// How long attempts at a login throttle are kept, at most.
pub(crate) const GATES_KEPT: TimeDelta = TimeDelta::days(2);
/// Revoked API keys kept for each tenant: they say who did something long ago.
pub(crate) const REVOKED_KEPT_MAX: i64 = 1_000;
/// Older revoked keys that one insertion prunes: more than it adds.
pub(crate) const REVOKED_PRUNED: i64 = 20;
