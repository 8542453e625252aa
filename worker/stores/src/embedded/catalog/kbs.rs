//! Knowledge bases that come and go.

use chrono::{DateTime, Utc};
use jobs::tenant::{KbId, TenantId};
use sqlx::SqliteConnection;

use super::deletion;
use super::port::TenantCatalog;
use crate::embedded::column::micros;
use crate::embedded::fault::Fault;
use crate::embedded::scrub;
use crate::model::NewKb;

/// Makes a knowledge base. Returns whether its id was free.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    new: &NewKb,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "INSERT INTO kbs (tenant_id, kb_id, name, workspace, created_at_us)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant_id, kb_id) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(new.id.as_str())
    .bind(&new.name)
    .bind(new.workspace.as_str())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether documents may be put into a knowledge base.
pub(super) async fn is_open(tx: &mut SqliteConnection, tenant: &TenantId, kb: &KbId) -> Result<bool, Fault> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM kbs WHERE tenant_id = ? AND kb_id = ? AND deleting_at_us IS NULL")
            .bind(tenant.as_str())
            .bind(kb.as_str())
            .fetch_optional(tx)
            .await?;
    Ok(found.is_some())
}

/// Closes a knowledge base, its documents with it. Returns whether there is one.
pub(super) async fn close(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    kb: &KbId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE kbs SET deleting_at_us = coalesce(deleting_at_us, ?), revision = revision + 1
         WHERE tenant_id = ? AND kb_id = ?",
    )
    .bind(micros(now))
    .bind(tenant.as_str())
    .bind(kb.as_str())
    .execute(&mut *tx)
    .await?;
    // Their revisions too: whoever works on one finds that it is gone.
    sqlx::query(
        "UPDATE documents SET deleting_at_us = coalesce(deleting_at_us, ?), revision = revision + 1
         WHERE tenant_id = ? AND kb_id = ?",
    )
    .bind(micros(now))
    .bind(tenant.as_str())
    .bind(kb.as_str())
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM schedules WHERE tenant_id = ? AND kb_id = ?")
        .bind(tenant.as_str())
        .bind(kb.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the rows of a knowledge base that was closed, and revokes the keys that reach it alone.
pub(super) async fn delete(catalog: &TenantCatalog, kb: &KbId, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut tx = catalog.file.begin().await?;
    let last: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(revision), 0) FROM documents WHERE tenant_id = ? AND kb_id = ?",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .fetch_one(&mut *tx)
    .await?;
    deletion::revisions_gone(&mut tx, &catalog.tenant, last).await?;
    sqlx::query(
        "UPDATE api_keys SET revoked_at_us = ?3, revision = revision + 1
         WHERE tenant_id = ?1 AND kb_id = ?2 AND revoked_at_us IS NULL AND EXISTS (
             SELECT 1 FROM kbs WHERE tenant_id = ?1 AND kb_id = ?2 AND deleting_at_us IS NOT NULL)",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(micros(now))
    .execute(&mut *tx)
    .await?;
    for statement in [
        "DELETE FROM documents WHERE tenant_id = ?1 AND kb_id = ?2 AND EXISTS (
             SELECT 1 FROM kbs WHERE tenant_id = ?1 AND kb_id = ?2 AND deleting_at_us IS NOT NULL)",
        "DELETE FROM schedules WHERE tenant_id = ?1 AND kb_id = ?2 AND EXISTS (
             SELECT 1 FROM kbs WHERE tenant_id = ?1 AND kb_id = ?2 AND deleting_at_us IS NOT NULL)",
    ] {
        sqlx::query(statement).bind(catalog.tenant.as_str()).bind(kb.as_str()).execute(&mut *tx).await?;
    }
    let done =
        sqlx::query("DELETE FROM kbs WHERE tenant_id = ? AND kb_id = ? AND deleting_at_us IS NOT NULL")
            .bind(catalog.tenant.as_str())
            .bind(kb.as_str())
            .execute(&mut *tx)
            .await?;
    scrub::note(&mut tx).await?;
    tx.commit().await?;
    catalog.file.scrub_noted();
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(done.rows_affected() == 1)
}
