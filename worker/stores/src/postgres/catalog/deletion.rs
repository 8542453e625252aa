//! Documents that go.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::KbId;

use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;

/// Each call raises the revision, so that an upload that looked at the document before has to look again.
pub(super) async fn document_begin(
    db: &TenantDb,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
    now: DateTime<Utc>,
) -> StoreResult<Option<u64>> {
    let sql = sqlx::query(
        "update documents set deleting_at = coalesce(deleting_at, $5), revision = revision + 1 \
         where tenant_id = $1 and kb_id = $2 and document_id = $3 \
           and (revision = $4 or (deleting_at is not null and revision > $4)) \
         returning revision",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let mut tx = db.tx("lifecycle.document_deletion_begin").await?;
    let sql = sql.bind(row::wide(revision)).bind(now);
    let begun = tx.optional(sql, |row| row::number(row, "revision")).await?;
    tx.commit().await?;
    Ok(begun)
}

pub(super) async fn document(db: &TenantDb, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
    let sql = sqlx::query(
        "delete from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4 \
           and deleting_at is not null",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let mut tx = db.tx("lifecycle.document_delete").await?;
    let gone = tx.execute(sql.bind(row::wide(revision))).await? == 1;
    tx.commit().await?;
    Ok(gone)
}
