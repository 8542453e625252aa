//! Recurring jobs.

use chrono::{DateTime, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;

use super::port::TenantCatalog;
use super::usage;
use crate::embedded::column::{micros, moment, parsed};
use crate::embedded::fault::Fault;
use crate::model::{NewSchedule, OverQuota, Schedule};

pub(super) async fn put(
    catalog: &TenantCatalog,
    schedule: &NewSchedule,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Result<Option<OverQuota>, Fault> {
    if schedule.template.tenant_id() != &catalog.tenant {
        return Err(Fault::Conflict("the template was stamped for another tenant"));
    }
    let mut tx = catalog.file.begin().await?;
    let is_known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM schedules WHERE tenant_id = ? AND kb_id = ? AND name = ?)",
    )
    .bind(catalog.tenant.as_str())
    .bind(schedule.kb_id.as_str())
    .bind(&schedule.name)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO schedules (tenant_id, kb_id, name, cron, time_zone, kind, template, created_by,
                                next_fire_at_us, created_at_us)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant_id, kb_id, name) DO UPDATE SET cron = excluded.cron,
             time_zone = excluded.time_zone, kind = excluded.kind, template = excluded.template,
             created_by = excluded.created_by, next_fire_at_us = excluded.next_fire_at_us",
    )
    .bind(catalog.tenant.as_str())
    .bind(schedule.kb_id.as_str())
    .bind(&schedule.name)
    .bind(&schedule.cron)
    .bind(&schedule.time_zone)
    .bind(schedule.kind()?)
    .bind(schedule.template.wire())
    .bind(&schedule.created_by)
    .bind(micros(schedule.next_fire_at))
    .bind(micros(now))
    .execute(&mut *tx)
    .await?;
    if !is_known {
        let quota = Quota::MaxSchedules;
        if let Some(over) = usage::last_refused(&mut tx, &catalog.tenant, limits, quota, now).await? {
            tx.rollback().await?;
            return Ok(Some(over));
        }
    }
    tx.commit().await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(None)
}

#[derive(sqlx::FromRow)]
struct ScheduleRow {
    name: String,
    kb_id: String,
    cron: String,
    time_zone: String,
    kind: String,
    next_fire_at_us: i64,
    last_fire_at_us: Option<i64>,
}

impl TryFrom<ScheduleRow> for Schedule {
    type Error = Fault;

    fn try_from(row: ScheduleRow) -> Result<Self, Fault> {
        let last = row.last_fire_at_us.map(|us| moment(us, "schedules.last_fire_at_us"));
        Ok(Self {
            name: row.name,
            kb_id: parsed(&row.kb_id, "schedules.kb_id")?,
            cron: row.cron,
            time_zone: row.time_zone,
            kind: row.kind,
            next_fire_at: moment(row.next_fire_at_us, "schedules.next_fire_at_us")?,
            last_fire_at: last.transpose()?,
        })
    }
}

pub(super) async fn list(catalog: &TenantCatalog, kb: &KbId) -> Result<Vec<Schedule>, Fault> {
    let rows: Vec<ScheduleRow> =
        sqlx::query_as("SELECT * FROM schedules WHERE tenant_id = ? AND kb_id = ? ORDER BY name")
            .bind(catalog.tenant.as_str())
            .bind(kb.as_str())
            .fetch_all(catalog.file.read())
            .await?;
    rows.into_iter().map(Schedule::try_from).collect()
}

pub(super) async fn delete(catalog: &TenantCatalog, kb: &KbId, name: &str) -> Result<bool, Fault> {
    let done = sqlx::query("DELETE FROM schedules WHERE tenant_id = ? AND kb_id = ? AND name = ?")
        .bind(catalog.tenant.as_str())
        .bind(kb.as_str())
        .bind(name)
        .execute(catalog.file.write())
        .await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(done.rows_affected() == 1)
}
