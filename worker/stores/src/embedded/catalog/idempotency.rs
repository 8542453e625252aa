//! Answers that were given under an idempotency key.

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::port::TenantCatalog;
use crate::embedded::column::{micros, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{Idempotency, Replay};
use crate::retention::{IDEMPOTENCY_KEPT, IDEMPOTENCY_PRUNED};

pub(super) async fn replay(catalog: &TenantCatalog, key: &str) -> Result<Option<Replay>, Fault> {
    replay_at(catalog.file.read(), &catalog.tenant, key, catalog.clock.now()).await
}

pub(super) async fn replay_at(
    reader: impl SqliteExecutor<'_>,
    tenant: &TenantId,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Option<Replay>, Fault> {
    let row: Option<(String, i64, String)> = sqlx::query_as(
        "SELECT fingerprint, status, body FROM idempotency
         WHERE tenant_id = ? AND key = ? AND created_at_us > ?",
    )
    .bind(tenant.as_str())
    .bind(key)
    .bind(micros(now - IDEMPOTENCY_KEPT))
    .fetch_optional(reader)
    .await?;
    let Some((fingerprint, status, body)) = row else { return Ok(None) };
    let status = unsigned(status, "idempotency.status")?;
    Ok(Some(Replay { fingerprint, status, body: serde_json::from_str(&body)? }))
}

/// Keeps an answer, in place of one that is too old.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    answer: &Idempotency,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO idempotency (tenant_id, key, fingerprint, status, body, created_at_us)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,
             status = excluded.status, body = excluded.body, created_at_us = excluded.created_at_us",
    )
    .bind(tenant.as_str())
    .bind(&answer.key)
    .bind(&answer.fingerprint)
    .bind(answer.status)
    .bind(answer.body.to_string())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes some answers that are too old: more than one request adds.
pub(super) async fn prune(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM idempotency WHERE tenant_id = ?1 AND key IN (
             SELECT key FROM idempotency WHERE tenant_id = ?1 AND created_at_us <= ?2
             ORDER BY created_at_us LIMIT ?3)",
    )
    .bind(tenant.as_str())
    .bind(micros(now - IDEMPOTENCY_KEPT))
    .bind(IDEMPOTENCY_PRUNED)
    .execute(tx)
    .await?;
    Ok(())
}
