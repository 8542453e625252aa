//! Recurring jobs of a knowledge base.

use chrono::{DateTime, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{tenant, usage};
use crate::error::StoreError;
use crate::model::{NewSchedule, OverQuota, Schedule};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;

const PUT: &str = "catalog.schedule_put";

pub(super) async fn put(
    db: &TenantDb,
    new: &NewSchedule,
    limits: &Limits,
    now: DateTime<Utc>,
) -> StoreResult<Option<OverQuota>> {
    if new.template.tenant_id() != db.tenant() {
        return Err(StoreError::Conflict { operation: PUT, what: "the template is another tenant's" });
    }
    let kind = new.kind().map_err(|error| StoreError::permanent(PUT, error))?;
    let sql = sqlx::query(
        "insert into schedules (tenant_id, kb_id, name, cron, time_zone, kind, template, created_by, next_fire_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         on conflict (tenant_id, kb_id, name) do update set cron = excluded.cron, \
             time_zone = excluded.time_zone, kind = excluded.kind, template = excluded.template, \
             created_by = excluded.created_by, next_fire_at = excluded.next_fire_at",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(new.kb_id.as_str()).bind(&new.name).bind(&new.cron);
    let sql = sql.bind(&new.time_zone).bind(kind).bind(new.template.wire());
    let is_known = sqlx::query(
        "select exists (select from schedules where tenant_id = $1 and kb_id = $2 and name = $3)",
    );
    let is_known = is_known.bind(db.tenant().as_str()).bind(new.kb_id.as_str()).bind(&new.name);
    let mut tx = db.tx(PUT).await?;
    tenant::lock(&mut tx, db).await?;
    let is_known: bool = tx.one(is_known, |row| row.try_get(0)).await?;
    tx.execute(sql.bind(&new.created_by).bind(new.next_fire_at)).await?;
    if !is_known
        && let Some(over) = usage::last_refused(&mut tx, db, limits, Quota::MaxSchedules, now).await?
    {
        return Ok(Some(over));
    }
    tx.commit().await?;
    Ok(None)
}

pub(super) async fn schedules(db: &TenantDb, kb: &KbId) -> StoreResult<Vec<Schedule>> {
    let sql = sqlx::query("select * from schedules where tenant_id = $1 and kb_id = $2 order by name");
    let mut tx = db.tx("catalog.schedules").await?;
    let found = tx.all(sql.bind(db.tenant().as_str()).bind(kb.as_str()), read_schedule).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn delete(db: &TenantDb, kb: &KbId, name: &str) -> StoreResult<bool> {
    let sql = sqlx::query("delete from schedules where tenant_id = $1 and kb_id = $2 and name = $3");
    let mut tx = db.tx("catalog.schedule_delete").await?;
    let gone = tx.execute(sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(name)).await? == 1;
    tx.commit().await?;
    Ok(gone)
}

fn read_schedule(row: &PgRow) -> sqlx::Result<Schedule> {
    Ok(Schedule {
        name: row.try_get("name")?,
        kb_id: row::parsed(row, "kb_id")?,
        cron: row.try_get("cron")?,
        time_zone: row.try_get("time_zone")?,
        kind: row.try_get("kind")?,
        next_fire_at: row.try_get("next_fire_at")?,
        last_fire_at: row.try_get("last_fire_at")?,
    })
}
