//! The chain of an audit log: each entry has a number and the hash of itself together with that of the entry before, so
//! that it shows when an entry was changed, removed or put in between.
//!
//! What it does not show by itself: that the newest entries were removed, and that the database's owner wrote the whole
//! log anew. For both, keep the head of an earlier check elsewhere and compare.

use jobs::tenant::TenantId;
use sha2::{Digest as _, Sha256};

use super::audit_log::read_action;
use super::{Row, Sql, Tx, View, sql};
use crate::model::{AuditCheck, AuditEntry, AuditFlaw, AuditHead};
use crate::ports::StoreResult;

/// Entries that are read at a time.
const PAGE: u32 = 1_000;

/// A log: a tenant's or the operator's.
#[derive(Clone, Copy)]
pub(super) enum Log<'a> {
    Tenant(&'a TenantId),
    Operator,
}

impl<'a> Log<'a> {
    /// The statement for this kind of log; that of a tenant gets the tenant as its first argument.
    fn statement(self, of_tenant: &'static str, of_operator: &'static str) -> Sql<'a> {
        match self {
            Self::Tenant(tenant) => sql(of_tenant).bind(tenant.as_str()),
            Self::Operator => sql(of_operator),
        }
    }

    /// Locks the log's end until the transaction ends, and returns it.
    pub(super) async fn end(self, tx: &mut Tx) -> StoreResult<AuditHead> {
        tx.lock(self.statement(
            "select pg_advisory_xact_lock(hashtextextended('tenantry.audit_log:' || $1, 0))",
            "select pg_advisory_xact_lock(hashtextextended('tenantry.operator_audit_log', 0))",
        ))
        .await?;
        let last = self.statement(
            "select number, hash from audit_log where tenant_id = $1 and number is not null
             order by number desc limit 1",
            "select number, hash from operator_audit_log where number is not null order by number desc limit 1",
        );
        let read = |row: &Row| Ok(AuditHead { number: row.number("number")?, hash: row.text("hash")? });
        Ok(tx.optional(last, read).await?.unwrap_or_default())
    }

    /// The head of the log once it has this entry behind `last`.
    pub(super) fn next(self, last: &AuditHead, entry: &AuditEntry) -> AuditHead {
        let number = last.number + 1;
        let tenant = match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Operator => None,
        };
        // Truncated to what every database keeps.
        let at_us = entry.at.timestamp_micros();
        let AuditEntry { id, at: _, actor, action, target, reason, request_id, status } = entry;
        let told = (&last.hash, number, tenant, id, at_us, actor, action, target, reason, request_id, status);
        // Texts, numbers and a map of texts: nothing of it can fail to be written.
        let told = serde_json::to_string(&told).unwrap_or_default();
        AuditHead { number, hash: hex::encode(Sha256::digest(told)) }
    }

    /// Checks the log up to entry number `last`.
    pub(super) async fn check(
        self,
        rows: &View,
        operation: &'static str,
        last: u64,
    ) -> StoreResult<AuditCheck> {
        let mut check =
            AuditCheck { entries: 0, head: AuditHead::default(), removed: 0, unchained: 0, flaw: None };
        loop {
            let page = self.statement(
                "select * from audit_log where tenant_id = $1 and number > $2 and number <= $3
                 order by number limit $4",
                "select *, cast(null as text) as tenant_id from operator_audit_log
                 where number > $1 and number <= $2 order by number limit $3",
            );
            let page = page.bind(check.head.number).bind(last).bind(PAGE);
            let found = rows.all(operation, page, read_chained).await?;
            check.flaw = found.iter().find_map(|found| self.follow(&mut check, found));
            if check.flaw.is_some() || found.len() < PAGE as usize {
                break;
            }
        }
        check.unchained = self.unchained(rows, operation).await?;
        Ok(check)
    }

    /// Takes the next entry into the check, unless it is not as it was written.
    fn follow(self, check: &mut AuditCheck, (head, entry): &(AuditHead, AuditEntry)) -> Option<AuditFlaw> {
        let expected = self.next(&check.head, entry);
        if check.entries == 0 && head.number > 1 {
            // The entry before is no longer kept, nor is its hash.
            check.removed = head.number - 1;
        } else if head.number != expected.number {
            return Some(AuditFlaw::Missing { number: expected.number });
        } else if head.hash != expected.hash {
            return Some(AuditFlaw::Changed { number: head.number, id: entry.id });
        }
        check.entries += 1;
        check.head = head.clone();
        None
    }

    /// How many entries have no number.
    async fn unchained(self, rows: &View, operation: &'static str) -> StoreResult<u64> {
        let count = self.statement(
            "select count(*) as total from audit_log where tenant_id = $1 and number is null",
            "select count(*) as total from operator_audit_log where number is null",
        );
        rows.one(operation, count, |row| row.number("total")).await
    }
}

fn read_chained(row: &Row) -> sqlx::Result<(AuditHead, AuditEntry)> {
    let head = AuditHead { number: row.number("number")?, hash: row.text("hash")? };
    Ok((head, read_action(row)?.entry))
}
