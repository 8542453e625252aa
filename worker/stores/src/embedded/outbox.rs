//! The outbox relay's view of `SQLite`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqliteConnection;

use super::column::{micros, parsed};
use super::fault::{Fault, call};
use super::file::SqliteFile;
use crate::deadline::CALL;
use crate::ports::{OutboxRelay, OutboxRow, StoreResult};

/// Every tenant's outbox, and nothing else of theirs.
pub(super) struct SqliteOutbox {
    file: Arc<SqliteFile>,
}

impl SqliteOutbox {
    pub(super) fn new(file: Arc<SqliteFile>) -> Self {
        Self { file }
    }

    async fn due(&self, before: DateTime<Utc>, limit: u32) -> Result<Vec<OutboxRow>, Fault> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT tenant_id, job_id, wire FROM outbox WHERE created_at_us <= ?
             ORDER BY created_at_us, job_id LIMIT ?",
        )
        .bind(micros(before))
        .bind(limit)
        .fetch_all(self.file.read())
        .await?;
        let row = |(tenant_id, job_id, wire): (String, String, String)| {
            let tenant_id = parsed(&tenant_id, "outbox.tenant_id")?;
            Ok(OutboxRow { tenant_id, job_id: parsed(&job_id, "outbox.job_id")?, wire })
        };
        rows.into_iter().map(row).collect()
    }

    async fn done(&self, rows: &[OutboxRow]) -> Result<(), Fault> {
        let mut tx = self.file.begin().await?;
        for row in rows {
            delete(&mut tx, row).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn reject(&self, row: &OutboxRow, reason: &str, now: DateTime<Utc>) -> Result<(), Fault> {
        let mut tx = self.file.begin().await?;
        sqlx::query(
            "INSERT INTO outbox_rejected (tenant_id, job_id, wire, reason, rejected_at_us)
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant_id, job_id) DO NOTHING",
        )
        .bind(row.tenant_id.as_str())
        .bind(row.job_id.to_string())
        .bind(&row.wire)
        .bind(reason)
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        delete(&mut tx, row).await?;
        Ok(tx.commit().await?)
    }
}

async fn delete(tx: &mut SqliteConnection, row: &OutboxRow) -> Result<(), Fault> {
    sqlx::query("DELETE FROM outbox WHERE tenant_id = ? AND job_id = ?")
        .bind(row.tenant_id.as_str())
        .bind(row.job_id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

#[async_trait::async_trait]
impl OutboxRelay for SqliteOutbox {
    async fn outbox_due(&self, now: DateTime<Utc>, age: Duration, limit: u32) -> StoreResult<Vec<OutboxRow>> {
        let before = now - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        call("outbox.outbox_due", CALL, self.due(before, limit)).await
    }

    async fn outbox_done(&self, rows: &[OutboxRow]) -> StoreResult<()> {
        call("outbox.outbox_done", CALL, self.done(rows)).await
    }

    async fn outbox_reject(&self, row: &OutboxRow, reason: &str, now: DateTime<Utc>) -> StoreResult<()> {
        call("outbox.outbox_reject", CALL, self.reject(row, reason, now)).await
    }
}
