//! Which schedules of any tenant are due.

use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog::jobs_count;
use super::pool::{Postgres, Reader};
use super::row::{parsed, tenant_id};
use super::tx::Sql;
use crate::error::StoreError;
use crate::model::{DueSchedule, Firing};
use crate::ports::{DueSchedules, StoreResult};

const FIRE: &str = "schedules.fire";

/// Finds due schedules as `tenantry_relay`; moves one on as its tenant.
pub(crate) struct PgSchedules {
    postgres: Postgres,
}

impl PgSchedules {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

#[async_trait::async_trait]
impl DueSchedules for PgSchedules {
    async fn schedules_due(&self, now: DateTime<Utc>, limit: u32) -> StoreResult<Vec<DueSchedule>> {
        let sql = sqlx::query(
            "select tenant_id, kb_id, name, cron, time_zone, next_fire_at, template from schedules \
             where next_fire_at <= $1 order by next_fire_at, tenant_id, kb_id, name limit $2",
        );
        let mut tx = self.postgres.reader_tx(Reader::Relay, "schedules.due").await?;
        let due = tx.all(sql.bind(now).bind(i64::from(limit)), due_schedule).await?;
        tx.commit().await?;
        Ok(due)
    }

    async fn schedule_fire(
        &self,
        due: &DueSchedule,
        (job, limits): (&StampedJob, &Limits),
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Firing> {
        if *job.tenant_id() != due.tenant_id {
            return Err(StoreError::Conflict { operation: FIRE, what: "the job is another tenant's" });
        }
        let db = self.postgres.tenant(&due.tenant_id);
        let mut tx = db.tx(FIRE).await?;
        if tx.execute(move_on(due, next).bind(Some(due.fire_at))).await? == 0 {
            return Ok(Firing::NotDue);
        }
        let sql = sqlx::query(
            "insert into outbox (tenant_id, job_id, wire, created_at) values ($1, $2::uuid, $3, $4) \
             on conflict do nothing",
        );
        let sql = sql.bind(due.tenant_id.as_str()).bind(job.id().to_string());
        tx.execute(sql.bind(job.wire()).bind(now)).await?;
        if let Some(over) = jobs_count(&mut tx, &db, limits, 1, now).await? {
            drop(tx);
            let skipped = self.schedule_skip(due, next).await?;
            return Ok(if skipped { Firing::OverQuota(over) } else { Firing::NotDue });
        }
        tx.commit().await?;
        Ok(Firing::Fired)
    }

    async fn schedule_skip(&self, due: &DueSchedule, next: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.postgres.tenant(&due.tenant_id).tx("schedules.skip").await?;
        let moved = tx.execute(move_on(due, next).bind(None::<DateTime<Utc>>)).await? == 1;
        tx.commit().await?;
        Ok(moved)
    }
}

/// Moves a schedule to `next` if it still waits for `due.fire_at`. Needs one more argument: when it fired, if
/// it did.
fn move_on(due: &DueSchedule, next: DateTime<Utc>) -> Sql<'_> {
    let sql = sqlx::query(
        "update schedules set next_fire_at = $5, last_fire_at = coalesce($6, last_fire_at) \
         where tenant_id = $1 and kb_id = $2 and name = $3 and next_fire_at = $4",
    );
    sql.bind(due.tenant_id.as_str())
        .bind(due.kb_id.as_str())
        .bind(due.name.as_str())
        .bind(due.fire_at)
        .bind(next)
}

fn due_schedule(row: &PgRow) -> sqlx::Result<DueSchedule> {
    Ok(DueSchedule {
        tenant_id: tenant_id(row)?,
        kb_id: parsed(row, "kb_id")?,
        name: row.try_get("name")?,
        cron: row.try_get("cron")?,
        time_zone: row.try_get("time_zone")?,
        fire_at: row.try_get("next_fire_at")?,
        template: row.try_get("template")?,
    })
}
