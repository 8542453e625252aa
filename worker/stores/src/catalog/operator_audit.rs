//! The operator's audit log, all audit logs as one, and what is too old in any of them.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::error::report;
use uuid::Uuid;

use super::audit_chain::Log;
use super::audit_log::{
    KEPT_MAX, PRUNED, append_to, bind_entry, bind_filter, oldest_kept, prunes, read_action,
};
use super::{Db, DirectoryRows, Reader, Tx, sql};
use crate::model::{AuditCheck, AuditEntry, AuditFilter, LoggedAction, Page};
use crate::page;
use crate::ports::StoreResult;

const APPEND: &str = "
insert into operator_audit_log (audit_id, at, actor, action, target, reason, request_id, status, number, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (audit_id) do nothing";

/// Each log is cut before they are put together, so that a page reads no more of either than it can show.
const PAGE: &str = "
select * from (
    select tenant_id, audit_id, at, actor, action, target, reason, request_id, status from audit_log
    where audit_id >= $1 and audit_id < $2 and ($3 is null or actor = $3) and ($4 is null or action = $4)
    order by audit_id desc limit $5) as of_tenants
union all
select * from (
    select cast(null as text) as tenant_id, audit_id, at, actor, action, target, reason, request_id, status
    from operator_audit_log
    where audit_id >= $1 and audit_id < $2 and ($3 is null or actor = $3) and ($4 is null or action = $4)
    order by audit_id desc limit $5) as of_the_operator
order by audit_id desc limit $5";

/// By how much the times of entries may differ from their order.
const SKEW: TimeDelta = TimeDelta::hours(1);

/// Lets one transaction at a time remove entries: two that delete the same rows in another order would deadlock.
pub(super) async fn lock_removal(tx: &mut Tx) -> StoreResult<()> {
    tx.lock(sql("select pg_advisory_xact_lock(hashtextextended('tenantry.audit_log', 0))")).await
}

impl DirectoryRows {
    /// Adds an entry to the operator's audit log. Returns whether it is new.
    pub(crate) async fn audit_append(&self, entry: &AuditEntry) -> StoreResult<bool> {
        const OPERATION: &str = "directory.audit_append";
        let (rows, append) = (self.db.reader(Reader::Identity), bind_entry(OPERATION, sql(APPEND), entry)?);
        let is_new = append_to(&rows, Log::Operator, OPERATION, (append, entry)).await?;
        // In a transaction of its own: the entry stays, whatever comes of this.
        if prunes(entry)
            && let Err(error) = self.audit_prune().await
        {
            tracing::warn!(error = report(&error), "old audit entries of the operator's stay for now");
        }
        Ok(is_new)
    }

    /// Checks that the operator's audit log is as it was written, up to entry number `last`.
    pub(crate) async fn audit_check(&self, last: u64) -> StoreResult<AuditCheck> {
        Log::Operator.check(&self.db.reader(Reader::Directory), "directory.audit_check", last).await
    }

    /// Removes some entries that are too many.
    async fn audit_prune(&self) -> StoreResult<()> {
        let too_many = sql("delete from operator_audit_log where audit_id in (
                 select audit_id from operator_audit_log
                 order by coalesce(number, 0) desc, audit_id desc limit $2 offset $1)");
        let mut tx = self.db.reader(Reader::Identity).write("directory.audit_prune").await?;
        lock_removal(&mut tx).await?;
        tx.execute(too_many.bind(KEPT_MAX).bind(PRUNED)).await?;
        tx.commit().await
    }

    /// The audit logs of all tenants and the operator's as one, newest first, after the entry `after`. At most `limit`
    /// (1 to 1,000).
    pub(crate) async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Page<LoggedAction>> {
        let select = bind_filter(sql(PAGE), filter, after, now).bind(page::rows_for(limit));
        let found = self.db.reader(Reader::Directory).all("directory.audit", select, read_action).await?;
        Ok(page::cut(found, limit, |found| found.entry.id.to_string()))
    }
}

/// Removes audit entries that are too old, of all tenants and of the operator, and has access to nothing else.
pub struct AuditRetention {
    db: Db,
}

impl AuditRetention {
    pub(crate) const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Removes the oldest of the entries that are no longer kept at `now`. Returns how many; as long as there are any,
    /// another call finds more.
    pub async fn remove_old(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        // An entry stays as long as one of those just before it in its log does: their ids may have another order.
        let of_tenants = sql("delete from audit_log where (tenant_id, audit_id) in (
                 select tenant_id, audit_id from audit_log as old where audit_id < $1 and not exists (
                     select 1 from audit_log as kept where kept.tenant_id = old.tenant_id and kept.audit_id >= $1
                         and kept.audit_id < $3 and kept.number < old.number and kept.number > old.number - 100)
                 order by audit_id limit $2)");
        let of_the_operator = sql("delete from operator_audit_log where audit_id in (
                 select audit_id from operator_audit_log as old where audit_id < $1 and not exists (
                     select 1 from operator_audit_log as kept where kept.audit_id >= $1
                         and kept.audit_id < $3 and kept.number < old.number and kept.number > old.number - 100)
                 order by audit_id limit $2)");
        let mut removed = 0;
        for (reader, delete) in [(Reader::Relay, of_tenants), (Reader::Identity, of_the_operator)] {
            let mut tx = self.db.reader(reader).write("audit.remove_old").await?;
            lock_removal(&mut tx).await?;
            let soon = oldest_kept(now + SKEW);
            removed += tx.execute(delete.bind(oldest_kept(now)).bind(PRUNED).bind(soon)).await?;
            tx.commit().await?;
        }
        Ok(removed)
    }
}
