//! Documents that go.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::column::{micros, signed, unsigned};
use crate::embedded::fault::Fault;
use crate::embedded::scrub;

/// Each call raises the revision, so that an upload that looked at the document before has to look again.
pub(super) async fn document_begin(
    catalog: &TenantCatalog,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
    now: DateTime<Utc>,
) -> Result<Option<u64>, Fault> {
    let mut tx = catalog.file.begin().await?;
    let begun: Option<i64> = sqlx::query_scalar(
        "UPDATE documents SET deleting_at_us = coalesce(deleting_at_us, ?5), revision = revision + 1
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3
           AND (revision = ?4 OR (deleting_at_us IS NOT NULL AND revision > ?4))
         RETURNING revision",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .bind(signed(revision, "documents.revision")?)
    .bind(micros(now))
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    begun.map(|revision| unsigned(revision, "documents.revision")).transpose()
}

pub(super) async fn document(
    catalog: &TenantCatalog,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
) -> Result<bool, Fault> {
    let mut tx = catalog.file.begin().await?;
    let done = sqlx::query(
        "DELETE FROM documents
         WHERE tenant_id = ? AND kb_id = ? AND document_id = ? AND revision = ? AND deleting_at_us IS NOT NULL",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .bind(signed(revision, "documents.revision")?)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    revisions_gone(&mut tx, &catalog.tenant, signed(revision, "documents.revision")?).await?;
    scrub::note(&mut tx).await?;
    tx.commit().await?;
    catalog.file.scrub_noted();
    Ok(true)
}

/// Lets no document that comes have one of the revisions up to `last`, nor the next one: an upload that counted on
/// from what is gone has to look again.
pub(super) async fn revisions_gone(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    last: i64,
) -> Result<(), Fault> {
    sqlx::query("UPDATE tenants SET gone_revision = ?2 WHERE tenant_id = ?1 AND gone_revision < ?2")
        .bind(tenant.as_str())
        .bind(last.saturating_add(1))
        .execute(tx)
        .await?;
    Ok(())
}
