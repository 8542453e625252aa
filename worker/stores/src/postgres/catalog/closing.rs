//! The tenant's end.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Row as _};

use crate::model::Kb;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;

/// Whether something may be accepted: of a closed tenant only what ends it, under the epoch `closed`. That stays so
/// until the transaction ends.
pub(super) async fn may_accept(tx: &mut Tx, db: &TenantDb, closed: Option<u64>) -> StoreResult<bool> {
    let sql = sqlx::query("select epoch, status from tenants where tenant_id = $1 for share");
    let found = tx
        .optional(sql.bind(db.tenant().as_str()), |row| {
            let closed = row.try_get::<&str, _>("status")? == "deprovisioning";
            Ok(if closed { Some(row::number(row, "epoch")?) } else { None })
        })
        .await?;
    Ok(found.flatten() == closed)
}

pub(super) async fn close(db: &TenantDb) -> StoreResult<Option<u64>> {
    let sql = sqlx::query(
        "update tenants set status = 'deprovisioning', epoch = epoch + 1, revision = revision + 1 \
         where tenant_id = $1 and deleted_at is null returning epoch",
    );
    let mut tx = db.tx("lifecycle.tenant_close").await?;
    let epoch = tx.optional(sql.bind(db.tenant().as_str()), |row| row::number(row, "epoch")).await?;
    tx.commit().await?;
    Ok(epoch)
}

pub(super) async fn kbs(db: &TenantDb) -> StoreResult<Vec<Kb>> {
    let sql = sqlx::query(
        "select *, deleting_at is not null as is_closed from kbs where tenant_id = $1 order by kb_id",
    );
    let mut tx = db.tx("lifecycle.tenant_kbs").await?;
    let kbs = tx.all(sql.bind(db.tenant().as_str()), row::kb).await?;
    tx.commit().await?;
    Ok(kbs)
}

/// Tables of tenants: those that others refer to come last.
const TABLES: &str = "
select quote_ident(c.relname) as name from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'tenants'
order by exists (select from pg_constraint where contype = 'f' and confrelid = c.oid), 1";

/// Which tables there are says the server, so that none is forgotten.
pub(super) async fn delete(db: &TenantDb, now: DateTime<Utc>) -> StoreResult<bool> {
    let bury = sqlx::query(
        "update tenants set name = '', plan = '', limits = '{}', rag_settings = '{}', applied_revision = revision, deleted_at = $2 \
         where tenant_id = $1 and status = 'deprovisioning' and deleted_at is null",
    );
    let mut tx = db.tx_bulk("lifecycle.tenant_delete").await?;
    if tx.execute(bury.bind(db.tenant().as_str()).bind(now)).await? == 0 {
        return Ok(false);
    }
    let tables: Vec<String> = tx.all(sqlx::query(TABLES), |row| row.try_get("name")).await?;
    for table in tables {
        let delete = AssertSqlSafe(format!("delete from public.{table} where tenant_id = $1"));
        tx.execute(sqlx::query(delete).bind(db.tenant().as_str())).await?;
    }
    tx.commit().await?;
    Ok(true)
}
