//! The audit log of a tenant. Entries are only added, and removed when they are old or the tenant goes.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::error::report;
use uuid::Uuid;

use super::audit_chain::Log;
use super::operator_audit::lock_removal;
use super::{Catalog, Reader, Row, Sql, Value, View};
use crate::error::StoreError;
use crate::model::{AuditCheck, AuditEntry, AuditFilter, LoggedAction, Page};
use crate::page;
use crate::ports::StoreResult;

/// How long an entry is kept.
const KEPT: TimeDelta = TimeDelta::days(400);
/// How many entries a tenant's log keeps, and the operator's: the newest.
pub(super) const KEPT_MAX: i64 = 100_000;
/// One entry in so many removes some of those that are too many.
const PRUNE_EVERY: u8 = 32;
/// How many one call removes: more than were added since the last one.
pub(super) const PRUNED: i64 = 1_000;

/// Adds nothing for a deleted tenant. Locks the tenant's row, so that its deletion does not miss the entry.
const APPEND: &str = "
insert into audit_log (tenant_id, audit_id, at, actor, action, target, reason, request_id, status, number, hash)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from tenants where tenant_id = $1 and deleted_at is null {for share}
on conflict (tenant_id, audit_id) do nothing";

const PAGE: &str = "
select * from audit_log where tenant_id = $1 and audit_id >= $2 and audit_id < $3
    and ($4 is null or actor = $4) and ($5 is null or action = $5)
order by audit_id desc limit $6";

impl Catalog {
    /// Adds an entry to the tenant's audit log. Returns whether it is new; for a tenant that is gone, nothing is added.
    pub async fn audit_append(&self, entry: &AuditEntry) -> StoreResult<bool> {
        const OPERATION: &str = "catalog.audit_append";
        let (log, append) = (Log::Tenant(&self.tenant), bind_entry(OPERATION, self.sql(APPEND), entry)?);
        let is_new = append_to(&self.rows, log, OPERATION, (append, entry)).await?;
        // In a transaction of its own: the entry stays, whatever comes of this.
        if prunes(entry)
            && let Err(error) = self.audit_prune().await
        {
            tracing::warn!(tenant.id = %self.tenant, error = report(&error), "old audit entries stay for now");
        }
        Ok(is_new)
    }

    /// Checks that the tenant's audit log is as it was written, up to entry number `last`.
    pub async fn audit_check(&self, last: u64) -> StoreResult<AuditCheck> {
        Log::Tenant(&self.tenant).check(&self.rows, "catalog.audit_check", last).await
    }

    /// Removes some entries that are too many.
    async fn audit_prune(&self) -> StoreResult<()> {
        let mut tx = self.rows.write("catalog.audit_prune").await?;
        tx.become_reader(Some(Reader::Relay)).await?;
        lock_removal(&mut tx).await?;
        let too_many = self.sql(
            "delete from audit_log where tenant_id = $1 and audit_id in (
                 select audit_id from audit_log where tenant_id = $1
                 order by coalesce(number, 0) desc, audit_id desc limit $3 offset $2)",
        );
        tx.execute(too_many.bind(KEPT_MAX).bind(PRUNED)).await?;
        tx.commit().await
    }

    /// The tenant's audit log, newest first, after the entry `after`. At most `limit` (1 to 1,000).
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Page<LoggedAction>> {
        let select = bind_filter(self.sql(PAGE), filter, after, self.clock.now());
        let found = self.rows.all("catalog.audit", select.bind(page::rows_for(limit)), read_action).await?;
        Ok(page::cut(found, limit, |found| found.entry.id.to_string()))
    }
}

/// Adds an entry at the end of a log's chain, with a statement that takes its number and hash last. Returns whether it
/// is new.
pub(super) async fn append_to(
    rows: &View,
    log: Log<'_>,
    operation: &'static str,
    (append, entry): (Sql<'_>, &AuditEntry),
) -> StoreResult<bool> {
    let mut tx = rows.write(operation).await?;
    let next = log.next(&log.end(&mut tx).await?, entry);
    let is_new = tx.execute(append.bind(next.number).bind(next.hash)).await? == 1;
    tx.commit().await?;
    Ok(is_new)
}

/// Whether the entry is one of those after which others are removed.
pub(super) fn prunes(entry: &AuditEntry) -> bool {
    entry.id.as_bytes()[15].is_multiple_of(PRUNE_EVERY)
}

/// The smallest id of an entry that is kept at `now`.
pub(super) fn oldest_kept(now: DateTime<Utc>) -> Uuid {
    AuditFilter::default().bounds(None, now - KEPT).0
}

/// Binds the columns of an entry, in the order of the table.
pub(super) fn bind_entry<'q>(
    operation: &'static str,
    sql: Sql<'q>,
    entry: &'q AuditEntry,
) -> StoreResult<Sql<'q>> {
    let target = serde_json::to_string(&entry.target);
    let target = target.map_err(|error| StoreError::permanent(operation, error))?;
    let sql = sql.bind(entry.id).bind(entry.at).bind(&entry.actor).bind(&entry.action).bind(target);
    let sql = sql.bind(entry.reason.as_deref()).bind(&entry.request_id);
    Ok(sql.bind(Value::Number(entry.status.map(i64::from))))
}

/// Binds the smallest id, the id to stop before, the actor and the action.
pub(super) fn bind_filter<'q>(
    sql: Sql<'q>,
    filter: &'q AuditFilter,
    after: Option<Uuid>,
    now: DateTime<Utc>,
) -> Sql<'q> {
    let (from, before) = filter.bounds(after, now - KEPT);
    sql.bind(from).bind(before).bind(filter.actor.as_deref()).bind(filter.action.as_deref())
}

pub(super) fn read_action(row: &Row) -> sqlx::Result<LoggedAction> {
    let target: BTreeMap<String, String> = row.json("target")?;
    let entry = AuditEntry {
        id: row.parsed("audit_id")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        target,
        reason: row.text_or_null("reason")?,
        request_id: row.text("request_id")?,
        status: row.number_or_null("status")?,
    };
    Ok(LoggedAction { tenant: row.parsed_or_null("tenant_id")?, entry })
}
