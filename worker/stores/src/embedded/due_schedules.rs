//! The scheduler's view of `SQLite`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use sqlx::SqliteConnection;

use super::catalog::{jobs_count, outbox_insert};
use super::column::{micros, moment, parsed};
use super::fault::{Fault, call};
use super::file::SqliteFile;
use crate::deadline::CALL;
use crate::model::{DueSchedule, Firing};
use crate::ports::{DueSchedules, StoreResult};

/// Every tenant's schedules, and nothing else of theirs.
pub(super) struct SqliteDueSchedules {
    file: Arc<SqliteFile>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    tenant_id: String,
    kb_id: String,
    name: String,
    cron: String,
    time_zone: String,
    next_fire_at_us: i64,
    template: String,
}

impl TryFrom<DueRow> for DueSchedule {
    type Error = Fault;

    fn try_from(row: DueRow) -> Result<Self, Fault> {
        Ok(Self {
            tenant_id: parsed(&row.tenant_id, "schedules.tenant_id")?,
            kb_id: parsed(&row.kb_id, "schedules.kb_id")?,
            name: row.name,
            cron: row.cron,
            time_zone: row.time_zone,
            fire_at: moment(row.next_fire_at_us, "schedules.next_fire_at_us")?,
            template: row.template,
        })
    }
}

impl SqliteDueSchedules {
    pub(super) fn new(file: Arc<SqliteFile>) -> Self {
        Self { file }
    }

    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<DueSchedule>, Fault> {
        let rows: Vec<DueRow> = sqlx::query_as(
            "SELECT * FROM schedules WHERE next_fire_at_us <= ?
             ORDER BY next_fire_at_us, tenant_id, kb_id, name LIMIT ?",
        )
        .bind(micros(now))
        .bind(limit)
        .fetch_all(self.file.read())
        .await?;
        rows.into_iter().map(DueSchedule::try_from).collect()
    }

    async fn fire(
        &self,
        due: &DueSchedule,
        (job, limits): (&StampedJob, &Limits),
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Firing, Fault> {
        let mut tx = self.file.begin().await?;
        if !move_on(&mut tx, due, next, Some(due.fire_at)).await? {
            return Ok(Firing::NotDue);
        }
        outbox_insert(&mut tx, &due.tenant_id, job, now).await?;
        if let Some(over) = jobs_count(&mut tx, &due.tenant_id, limits, 1, now).await? {
            tx.rollback().await?;
            let skipped = self.skip(due, next).await?;
            return Ok(if skipped { Firing::OverQuota(over) } else { Firing::NotDue });
        }
        tx.commit().await?;
        Ok(Firing::Fired)
    }

    async fn skip(&self, due: &DueSchedule, next: DateTime<Utc>) -> Result<bool, Fault> {
        let mut tx = self.file.begin().await?;
        let won = move_on(&mut tx, due, next, None).await?;
        tx.commit().await?;
        Ok(won)
    }
}

/// Moves a schedule to `next` if it still waits for the moment that `due` saw.
async fn move_on(
    tx: &mut SqliteConnection,
    due: &DueSchedule,
    next: DateTime<Utc>,
    fired_at: Option<DateTime<Utc>>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE schedules SET next_fire_at_us = ?, last_fire_at_us = coalesce(?, last_fire_at_us)
         WHERE tenant_id = ? AND kb_id = ? AND name = ? AND next_fire_at_us = ?",
    )
    .bind(micros(next))
    .bind(fired_at.map(micros))
    .bind(due.tenant_id.as_str())
    .bind(due.kb_id.as_str())
    .bind(&due.name)
    .bind(micros(due.fire_at))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

#[async_trait::async_trait]
impl DueSchedules for SqliteDueSchedules {
    async fn schedules_due(&self, now: DateTime<Utc>, limit: u32) -> StoreResult<Vec<DueSchedule>> {
        call("schedules.schedules_due", CALL, self.due(now, limit)).await
    }

    async fn schedule_fire(
        &self,
        due: &DueSchedule,
        job: (&StampedJob, &Limits),
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Firing> {
        call("schedules.schedule_fire", CALL, self.fire(due, job, next, now)).await
    }

    async fn schedule_skip(&self, due: &DueSchedule, next: DateTime<Utc>) -> StoreResult<bool> {
        call("schedules.schedule_skip", CALL, self.skip(due, next)).await
    }
}
