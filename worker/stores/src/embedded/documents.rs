//! Texts and extractions in a tenant's `SQLite` file.

use std::ops::Range;
use std::sync::Arc;

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};

use super::column::{signed, unsigned};
use super::fault::{Fault, call};
use super::tenant_files::TenantFiles;
use crate::deadline::{BULK, CALL};
use crate::model::{Extraction, ParsedDocument};
use crate::ports::{Documents, StoreResult};
use crate::scoped::Scope;

/// The documents of all tenants.
pub(super) struct SqliteDocuments {
    files: TenantFiles,
}

impl SqliteDocuments {
    pub(super) fn new(files: TenantFiles) -> Self {
        Self { files }
    }
}

impl Scope<dyn Documents> for SqliteDocuments {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Documents> {
        Arc::new(TenantDocuments { files: self.files.clone(), tenant: tenant.clone() })
    }
}

struct TenantDocuments {
    files: TenantFiles,
    tenant: TenantId,
}

impl TenantDocuments {
    async fn parsed_write(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> Result<(), Fault> {
        let file = self.files.of(&self.tenant).await?;
        sqlx::query(
            "INSERT INTO parsed (kb_id, document_id, revision, title, text) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (kb_id, document_id) DO UPDATE SET
                 revision = excluded.revision, title = excluded.title, text = excluded.text",
        )
        .bind(kb.as_str())
        .bind(id.as_str())
        .bind(signed(parsed.revision, "parsed.revision")?)
        .bind(&parsed.title)
        .bind(&parsed.text)
        .execute(file.write())
        .await?;
        Ok(())
    }

    async fn parsed_read(&self, kb: &KbId, id: &DocumentId) -> Result<Option<ParsedDocument>, Fault> {
        let file = self.files.of(&self.tenant).await?;
        let row: Option<(i64, Option<String>, String)> =
            sqlx::query_as("SELECT revision, title, text FROM parsed WHERE kb_id = ? AND document_id = ?")
                .bind(kb.as_str())
                .bind(id.as_str())
                .fetch_optional(file.read())
                .await?;
        let Some((revision, title, text)) = row else { return Ok(None) };
        Ok(Some(ParsedDocument { revision: unsigned(revision, "parsed.revision")?, title, text }))
    }

    async fn parsed_delete(&self, kb: &KbId, id: &DocumentId) -> Result<(), Fault> {
        let file = self.files.of(&self.tenant).await?;
        sqlx::query("DELETE FROM parsed WHERE kb_id = ? AND document_id = ?")
            .bind(kb.as_str())
            .bind(id.as_str())
            .execute(file.write())
            .await?;
        file.scrub().await
    }

    async fn extractions_write(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> Result<(), Fault> {
        let file = self.files.of(&self.tenant).await?;
        let mut tx = file.begin().await?;
        for (order, extraction) in extractions {
            sqlx::query(
                "INSERT INTO extractions (kb_id, document_id, revision, chunk_order, extraction)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (kb_id, document_id, revision, chunk_order)
                     DO UPDATE SET extraction = excluded.extraction",
            )
            .bind(kb.as_str())
            .bind(id.as_str())
            .bind(signed(revision, "extractions.revision")?)
            .bind(order)
            .bind(serde_json::to_string(extraction)?)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    async fn extractions_read(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> Result<Vec<(u32, Extraction)>, Fault> {
        let file = self.files.of(&self.tenant).await?;
        let rows: Vec<(u32, String)> = sqlx::query_as(
            "SELECT chunk_order, extraction FROM extractions
             WHERE kb_id = ? AND document_id = ? AND revision = ? AND chunk_order >= ? AND chunk_order < ?
             ORDER BY chunk_order",
        )
        .bind(kb.as_str())
        .bind(id.as_str())
        .bind(signed(revision, "extractions.revision")?)
        .bind(orders.start)
        .bind(orders.end)
        .fetch_all(file.read())
        .await?;
        rows.into_iter().map(|(order, json)| Ok((order, serde_json::from_str(&json)?))).collect()
    }

    async fn kb_delete(&self, kb: &KbId) -> Result<(), Fault> {
        let file = self.files.of(&self.tenant).await?;
        for statement in ["DELETE FROM parsed WHERE kb_id = ?", "DELETE FROM extractions WHERE kb_id = ?"] {
            sqlx::query(statement).bind(kb.as_str()).execute(file.write()).await?;
        }
        file.scrub().await
    }

    async fn extractions_delete(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> Result<(), Fault> {
        let file = self.files.of(&self.tenant).await?;
        let keep = keep.map(|revision| signed(revision, "extractions.revision")).transpose()?;
        sqlx::query("DELETE FROM extractions WHERE kb_id = ? AND document_id = ? AND revision IS NOT ?")
            .bind(kb.as_str())
            .bind(id.as_str())
            .bind(keep)
            .execute(file.write())
            .await?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Documents for TenantDocuments {
    async fn provision(&self) -> StoreResult<()> {
        call("documents.provision", CALL, async { self.files.of(&self.tenant).await.map(drop) }).await
    }

    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
        call("documents.parsed_put", BULK, self.parsed_write(kb, id, parsed)).await
    }

    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
        call("documents.parsed", CALL, self.parsed_read(kb, id)).await
    }

    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        call("documents.parsed_forget", CALL, self.parsed_delete(kb, id)).await
    }

    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()> {
        call("documents.extractions_put", BULK, self.extractions_write(kb, id, revision, extractions)).await
    }

    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>> {
        call("documents.extractions", BULK, self.extractions_read(kb, id, revision, orders)).await
    }

    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()> {
        call("documents.extractions_forget", CALL, self.extractions_delete(kb, id, keep)).await
    }

    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()> {
        call("documents.kb_forget", BULK, self.kb_delete(kb)).await
    }

    /// The file holds the tenant's part of the index too.
    async fn tenant_forget(&self) -> StoreResult<()> {
        call("documents.tenant_forget", BULK, self.files.remove(&self.tenant)).await
    }
}
