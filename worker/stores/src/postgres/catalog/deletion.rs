//! Documents that go.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::tenant;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;

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
    let mut tx = db.tx("lifecycle.document_delete").await?;
    tenant::lock(&mut tx, db).await?;
    let sql = sqlx::query(
        "delete from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4 \
           and deleting_at is not null",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let gone = tx.execute(sql.bind(row::wide(revision))).await? == 1;
    if gone {
        revisions_gone(&mut tx, db, revision).await?;
    }
    tx.commit().await?;
    Ok(gone)
}

/// Lets no document that comes have one of the revisions up to `last`, nor the next one: an upload that counted on
/// from what is gone has to look again. The transaction has the tenant's lock.
pub(super) async fn revisions_gone(tx: &mut Tx, db: &TenantDb, last: u64) -> StoreResult<()> {
    let sql =
        sqlx::query("update tenants set gone_revision = $2 where tenant_id = $1 and gone_revision < $2");
    let sql = sql.bind(db.tenant().as_str()).bind(row::wide(last.saturating_add(1)));
    tx.execute(sql).await.map(drop)
}
