//! Knowledge bases that come and go.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;

use super::{deletion, tenant};
use crate::model::NewKb;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;

/// Makes a knowledge base. Returns whether its id was free.
pub(super) async fn insert(tx: &mut Tx, db: &TenantDb, new: &NewKb, now: DateTime<Utc>) -> StoreResult<bool> {
    let sql = sqlx::query(
        "insert into kbs (tenant_id, kb_id, name, workspace, created_at) values ($1, $2, $3, $4, $5) \
         on conflict (tenant_id, kb_id) do nothing",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(new.id.as_str()).bind(&new.name);
    Ok(tx.execute(sql.bind(new.workspace.as_str()).bind(now)).await? == 1)
}

/// Whether documents may be put into a knowledge base. It cannot be closed before the transaction ends.
pub(super) async fn is_open(tx: &mut Tx, db: &TenantDb, kb: &KbId) -> StoreResult<bool> {
    let sql =
        sqlx::query("select from kbs where tenant_id = $1 and kb_id = $2 and deleting_at is null for share");
    let found = tx.optional(sql.bind(db.tenant().as_str()).bind(kb.as_str()), |_| Ok(())).await?;
    Ok(found.is_some())
}

/// Closes a knowledge base, its documents with it. Returns whether there is one.
pub(super) async fn close(tx: &mut Tx, db: &TenantDb, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
    let close = sqlx::query(
        "update kbs set deleting_at = coalesce(deleting_at, $3), revision = revision + 1 \
         where tenant_id = $1 and kb_id = $2",
    );
    let closed = tx.execute(close.bind(db.tenant().as_str()).bind(kb.as_str()).bind(now)).await? == 1;
    // Their revisions too: whoever works on one finds that it is gone.
    let documents = sqlx::query(
        "update documents set deleting_at = coalesce(deleting_at, $3), revision = revision + 1 \
         where tenant_id = $1 and kb_id = $2",
    );
    tx.execute(documents.bind(db.tenant().as_str()).bind(kb.as_str()).bind(now)).await?;
    let schedules = sqlx::query("delete from schedules where tenant_id = $1 and kb_id = $2");
    tx.execute(schedules.bind(db.tenant().as_str()).bind(kb.as_str())).await?;
    Ok(closed)
}

/// Removes the rows of a knowledge base that was closed, and revokes the keys that reach it alone.
pub(super) async fn delete(db: &TenantDb, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
    let mut tx = db.tx_bulk("lifecycle.kb_delete").await?;
    tenant::lock(&mut tx, db).await?;
    let closed = sqlx::query(
        "select from kbs where tenant_id = $1 and kb_id = $2 and deleting_at is not null for update",
    );
    let closed = closed.bind(db.tenant().as_str()).bind(kb.as_str());
    if tx.optional(closed, |_| Ok(())).await?.is_none() {
        return Ok(false);
    }
    let last = sqlx::query(
        "select coalesce(max(revision), 0) as last from documents where tenant_id = $1 and kb_id = $2",
    );
    let last = last.bind(db.tenant().as_str()).bind(kb.as_str());
    let last = tx.one(last, |row| row::number(row, "last")).await?;
    deletion::revisions_gone(&mut tx, db, last).await?;
    let revoke = sqlx::query(
        "update api_keys set revoked_at = $3, revision = revision + 1 \
         where tenant_id = $1 and kb_id = $2 and revoked_at is null",
    );
    tx.execute(revoke.bind(db.tenant().as_str()).bind(kb.as_str()).bind(now)).await?;
    for delete in [
        "delete from documents where tenant_id = $1 and kb_id = $2",
        "delete from schedules where tenant_id = $1 and kb_id = $2",
        "delete from kbs where tenant_id = $1 and kb_id = $2",
    ] {
        tx.execute(sqlx::query(delete).bind(db.tenant().as_str()).bind(kb.as_str())).await?;
    }
    tx.commit().await?;
    Ok(true)
}
