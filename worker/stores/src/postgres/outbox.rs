//! The outbox of every tenant, read as `tenantry_relay`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::pool::{Postgres, Reader};
use super::row::{parsed, tenant_id};
use crate::ports::{OutboxRelay, OutboxRow, StoreResult};

/// Hands accepted jobs to whoever pushes them.
pub(crate) struct PgOutbox {
    postgres: Postgres,
}

impl PgOutbox {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

#[async_trait::async_trait]
impl OutboxRelay for PgOutbox {
    async fn outbox_due(&self, now: DateTime<Utc>, age: Duration, limit: u32) -> StoreResult<Vec<OutboxRow>> {
        let before = now - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let sql = sqlx::query(
            "select tenant_id, job_id::text, wire from outbox where created_at <= $1 \
             order by created_at, job_id limit $2",
        );
        let mut tx = self.postgres.reader_tx(Reader::Relay, "outbox.due").await?;
        let rows = tx.all(sql.bind(before).bind(i64::from(limit)), outbox_row).await?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn outbox_done(&self, rows: &[OutboxRow]) -> StoreResult<()> {
        let tenants: Vec<&str> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
        let jobs: Vec<String> = rows.iter().map(|row| row.job_id.to_string()).collect();
        let sql = sqlx::query(
            "delete from outbox using unnest($1::text[], $2::text[]) as done (tenant_id, job_id) \
             where outbox.tenant_id = done.tenant_id and outbox.job_id = done.job_id::uuid",
        );
        let mut tx = self.postgres.reader_tx(Reader::Relay, "outbox.done").await?;
        tx.execute(sql.bind(tenants).bind(jobs)).await?;
        tx.commit().await
    }

    async fn outbox_reject(&self, row: &OutboxRow, reason: &str, now: DateTime<Utc>) -> StoreResult<()> {
        let sql = sqlx::query(
            "with gone as (delete from outbox where tenant_id = $1 and job_id = $2::uuid) \
             insert into outbox_rejected (tenant_id, job_id, wire, reason, rejected_at) \
             values ($1, $2::uuid, $3, $4, $5) on conflict do nothing",
        );
        let mut tx = self.postgres.reader_tx(Reader::Relay, "outbox.reject").await?;
        let sql = sql.bind(row.tenant_id.as_str()).bind(row.job_id.to_string()).bind(&row.wire);
        tx.execute(sql.bind(reason).bind(now)).await?;
        tx.commit().await
    }
}

fn outbox_row(row: &PgRow) -> sqlx::Result<OutboxRow> {
    Ok(OutboxRow { tenant_id: tenant_id(row)?, job_id: parsed(row, "job_id")?, wire: row.try_get("wire")? })
}
