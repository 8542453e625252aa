//! Answers that were given under an idempotency key.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::{Idempotency, Replay};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::tx::{Sql, Tx};
use crate::retention::{IDEMPOTENCY_KEPT, IDEMPOTENCY_PRUNED};

/// Claims the key, or says what was answered under it. Waits for a request that is claiming it right now.
pub(super) async fn claim(
    tx: &mut Tx,
    db: &TenantDb,
    new: &Idempotency,
    now: DateTime<Utc>,
) -> StoreResult<Option<Replay>> {
    let claim = sqlx::query(
        "insert into idempotency as known (tenant_id, key, fingerprint, status, body, created_at) \
         values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, key) do update set \
             fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, \
             created_at = excluded.created_at \
         where known.created_at <= $7",
    );
    let claim = claim.bind(db.tenant().as_str()).bind(&new.key).bind(&new.fingerprint);
    let claim = claim.bind(i32::from(new.status)).bind(new.body.to_string()).bind(now);
    if tx.execute(claim.bind(now - IDEMPOTENCY_KEPT)).await? == 1 {
        prune(tx, db, now).await?;
        return Ok(None);
    }
    tx.one(select(db, &new.key, now), read).await.map(Some)
}

/// Removes some answers that are too old. Those that another request is removing are left to it.
async fn prune(tx: &mut Tx, db: &TenantDb, now: DateTime<Utc>) -> StoreResult<()> {
    let sql = sqlx::query(
        "delete from idempotency where tenant_id = $1 and key in ( \
             select key from idempotency where tenant_id = $1 and created_at <= $2 \
             order by created_at limit $3 for update skip locked)",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(now - IDEMPOTENCY_KEPT).bind(IDEMPOTENCY_PRUNED);
    tx.execute(sql).await.map(drop)
}

pub(super) async fn replay(db: &TenantDb, key: &str, now: DateTime<Utc>) -> StoreResult<Option<Replay>> {
    let mut tx = db.tx("catalog.replay").await?;
    let found = tx.optional(select(db, key, now), read).await?;
    tx.commit().await?;
    Ok(found)
}

fn select<'q>(db: &'q TenantDb, key: &'q str, now: DateTime<Utc>) -> Sql<'q> {
    let sql = sqlx::query(
        "select fingerprint, status, body from idempotency \
         where tenant_id = $1 and key = $2 and created_at > $3",
    );
    sql.bind(db.tenant().as_str()).bind(key).bind(now - IDEMPOTENCY_KEPT)
}

fn read(row: &PgRow) -> sqlx::Result<Replay> {
    let (status, body): (i32, &str) = (row.try_get("status")?, row.try_get("body")?);
    Ok(Replay {
        fingerprint: row.try_get("fingerprint")?,
        status: u16::try_from(status).map_err(|error| sqlx::Error::Decode(error.into()))?,
        body: serde_json::from_str(body).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}
