//! Texts and extractions in PostgreSQL or in a tenant's SQLite file.

use std::ops::Range;
use std::sync::Arc;

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};

use super::{Documents, Extraction, ParsedDocument};
use crate::catalog::{Row, Sql, Tx, Value, View, sql};
use crate::content_db::ContentDb;
use crate::error::StoreError;
use crate::index::Chunk;
use crate::ports::StoreResult;
use crate::scoped::Scope;

/// Extractions per statement: each of one chunk, some kilobytes.
const BATCH: usize = 500;

/// Chunks per statement: of 1,200 tokens each, some megabytes.
const CHUNKS_SENT: usize = 1_000;

/// Creates the documents port of each tenant.
pub(crate) struct SqlDocuments {
    db: ContentDb,
}

impl SqlDocuments {
    pub(crate) const fn new(db: ContentDb) -> Self {
        Self { db }
    }
}

impl Scope<dyn Documents> for SqlDocuments {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Documents> {
        Arc::new(TenantDocuments { db: self.db.clone(), tenant: tenant.clone() })
    }
}

struct TenantDocuments {
    db: ContentDb,
    tenant: TenantId,
}

impl TenantDocuments {
    async fn view(&self, operation: &'static str) -> StoreResult<View> {
        self.db.view(&self.tenant, operation).await
    }

    /// A statement about one document.
    fn of_document<'q>(&self, text: &'static str, kb: &KbId, id: &DocumentId) -> Sql<'q> {
        sql(text).bind(self.tenant.to_string()).bind(kb.to_string()).bind(id.to_string())
    }

    /// Deletes what is staged for revisions up to `last`.
    async fn staged_delete(&self, tx: &mut Tx, kb: &KbId, id: &DocumentId, last: u64) -> StoreResult<()> {
        let deletes = [
            "delete from document_staged
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision <= $4",
            "delete from document_staged_chunks
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision <= $4",
        ];
        tx.execute_all(deletes.map(|delete| self.of_document(delete, kb, id).bind(last)).into())
            .await
            .map(drop)
    }

    /// Deletes everything of `kb`, or all of the tenant's.
    async fn delete(&self, tx: &mut Tx, kb: Option<&KbId>) -> StoreResult<()> {
        for delete in [
            "delete from document_texts where tenant_id = $1 and ($2 is null or kb_id = $2)",
            "delete from document_extractions where tenant_id = $1 and ($2 is null or kb_id = $2)",
            "delete from document_staged where tenant_id = $1 and ($2 is null or kb_id = $2)",
            "delete from document_staged_chunks where tenant_id = $1 and ($2 is null or kb_id = $2)",
        ] {
            tx.execute(sql(delete).bind(self.tenant.as_str()).bind(kb.map(KbId::as_str))).await?;
        }
        tx.leave_no_traces().await
    }
}

#[async_trait::async_trait]
impl Documents for TenantDocuments {
    async fn provision(&self) -> StoreResult<()> {
        self.view("documents.provision").await.map(drop)
    }

    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
        const OPERATION: &str = "documents.parsed_put";
        let put = sql("insert into document_texts (tenant_id, kb_id, document_id, revision, title, text)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (tenant_id, kb_id, document_id) do update set
                 revision = excluded.revision, title = excluded.title, text = excluded.text");
        let put = put.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str());
        let put = put.bind(parsed.revision).bind(parsed.title.as_deref()).bind(parsed.text.as_str());
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        tx.execute(put).await?;
        tx.commit().await
    }

    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
        const OPERATION: &str = "documents.parsed";
        let find = sql("select revision, title, text from document_texts
             where tenant_id = $1 and kb_id = $2 and document_id = $3");
        let find = find.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str());
        let read = |row: &Row| {
            Ok(ParsedDocument {
                revision: row.number("revision")?,
                title: row.text_or_null("title")?,
                text: row.text("text")?,
            })
        };
        self.view(OPERATION).await?.optional(OPERATION, find, read).await
    }

    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        const OPERATION: &str = "documents.parsed_forget";
        let delete =
            sql("delete from document_texts where tenant_id = $1 and kb_id = $2 and document_id = $3");
        let mut tx = self.view(OPERATION).await?.write(OPERATION).await?;
        tx.execute(delete.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str())).await?;
        tx.leave_no_traces().await?;
        tx.commit().await
    }

    async fn staged_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        parsed: &ParsedDocument,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        const OPERATION: &str = "documents.staged_put";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        self.staged_delete(&mut tx, kb, id, parsed.revision).await?;
        let head = "insert into document_staged (tenant_id, kb_id, document_id, revision, title, text)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (tenant_id, kb_id, document_id, revision) do update set
                 title = excluded.title, text = excluded.text";
        let head = self.of_document(head, kb, id).bind(parsed.revision);
        tx.execute(head.bind(parsed.title.as_deref()).bind(parsed.text.as_str())).await?;
        for batch in chunks.chunks(CHUNKS_SENT) {
            // Two runs of the same job may meet here, and write the same.
            let put = "insert into document_staged_chunks
                     (tenant_id, kb_id, document_id, revision, chunk_order, tokens, content)
                 select $1, $2, $3, $4, new.place, new.tokens, new.content
                 from {rows $5 as new (place bigint, tokens bigint, content text)} where true
                 on conflict (tenant_id, kb_id, document_id, revision, chunk_order) do update set
                     tokens = excluded.tokens, content = excluded.content";
            let rows = batch.iter().map(|chunk| {
                [
                    ("place", Value::from(chunk.order)),
                    ("tokens", Value::from(chunk.tokens)),
                    ("content", Value::from(&chunk.content)),
                ]
            });
            tx.execute(self.of_document(put, kb, id).bind(parsed.revision).bind_rows(rows)).await?;
        }
        tx.commit().await
    }

    async fn staged_chunks(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<Chunk>> {
        const OPERATION: &str = "documents.staged_chunks";
        let find = "select chunk_order, tokens, content from document_staged_chunks
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
               and chunk_order >= $5 and chunk_order < $6 order by chunk_order";
        let find = self.of_document(find, kb, id).bind(revision).bind(orders.start).bind(orders.end);
        let read = |row: &Row| {
            Ok(Chunk {
                order: row.number("chunk_order")?,
                tokens: row.number("tokens")?,
                content: row.text("content")?,
            })
        };
        self.view(OPERATION).await?.all(OPERATION, find, read).await
    }

    async fn staged_publish(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        const OPERATION: &str = "documents.staged_publish";
        let put = "insert into document_texts as known (tenant_id, kb_id, document_id, revision, title, text)
             select tenant_id, kb_id, document_id, revision, title, text from document_staged
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
             on conflict (tenant_id, kb_id, document_id) do update set
                 revision = excluded.revision, title = excluded.title, text = excluded.text
             where known.revision <= excluded.revision";
        let put = self.of_document(put, kb, id).bind(revision);
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        let published = tx.execute(put).await?;
        tx.commit().await?;
        Ok(published > 0)
    }

    async fn staged_forget(&self, kb: &KbId, id: &DocumentId, last: Option<u64>) -> StoreResult<()> {
        const OPERATION: &str = "documents.staged_forget";
        let mut tx = self.view(OPERATION).await?.write(OPERATION).await?;
        self.staged_delete(&mut tx, kb, id, last.unwrap_or(u64::MAX)).await?;
        if last.is_none() {
            tx.leave_no_traces().await?;
        }
        tx.commit().await
    }

    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()> {
        const OPERATION: &str = "documents.extractions_put";
        let unwritable = |error: serde_json::Error| StoreError::permanent(OPERATION, error);
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        for batch in extractions.chunks(BATCH) {
            let mut rows = Vec::with_capacity(batch.len());
            for (order, extraction) in batch {
                let json = serde_json::to_string(extraction).map_err(unwritable)?;
                rows.push([("chunk_order", Value::from(*order)), ("extraction", Value::from(json))]);
            }
            let put = sql("insert into document_extractions
                     (tenant_id, kb_id, document_id, revision, chunk_order, extraction)
                 select $1, $2, $3, $4, new.chunk_order, new.extraction
                 from {rows $5 as new (chunk_order bigint, extraction text)} where true
                 on conflict (tenant_id, kb_id, document_id, revision, chunk_order)
                     do update set extraction = excluded.extraction");
            let put = put.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str()).bind(revision);
            tx.execute(put.bind_rows(rows)).await?;
        }
        tx.commit().await
    }

    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>> {
        const OPERATION: &str = "documents.extractions";
        let find = sql("select chunk_order, extraction from document_extractions
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
               and chunk_order >= $5 and chunk_order < $6 order by chunk_order");
        let find = find.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str()).bind(revision);
        let find = find.bind(orders.start).bind(orders.end);
        let read = |row: &Row| Ok((row.number("chunk_order")?, row.json("extraction")?));
        self.view(OPERATION).await?.all(OPERATION, find, read).await
    }

    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()> {
        const OPERATION: &str = "documents.extractions_forget";
        let delete = sql("delete from document_extractions
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and ($4 is null or revision <> $4)");
        let keep = Value::Number(keep.map(|revision| i64::try_from(revision).unwrap_or(i64::MAX)));
        let delete = delete.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str()).bind(keep);
        self.view(OPERATION).await?.execute(OPERATION, delete).await.map(drop)
    }

    async fn chunks_forget(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: &[u32],
    ) -> StoreResult<()> {
        const OPERATION: &str = "documents.chunks_forget";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        for batch in orders.chunks(BATCH) {
            let rows = batch.iter().map(|order| [("chunk_order", Value::from(*order))]);
            let delete = sql("delete from document_extractions
                 where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                   and chunk_order in (select gone.chunk_order from {rows $5 as gone (chunk_order bigint)})");
            let delete = delete.bind(self.tenant.as_str()).bind(kb.as_str()).bind(id.as_str()).bind(revision);
            tx.execute(delete.bind_rows(rows)).await?;
        }
        tx.commit().await
    }

    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()> {
        const OPERATION: &str = "documents.kb_forget";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        self.delete(&mut tx, Some(kb)).await?;
        tx.commit().await
    }

    /// Deletes a tenant's file as a whole, and with it the tenant's part of the index.
    async fn tenant_forget(&self) -> StoreResult<()> {
        const OPERATION: &str = "documents.tenant_forget";
        if self.db.file_remove(&self.tenant, OPERATION).await? {
            return Ok(());
        }
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        self.delete(&mut tx, None).await?;
        tx.commit().await
    }
}
