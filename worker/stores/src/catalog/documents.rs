//! Documents: registration, status and deletion.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::webhook::EventType;
use jobs::{BatchId, DocumentId, JobId};
use uuid::Uuid;

use super::webhook_events::{OF_REMOVED, OF_REVISION};
use super::{Catalog, Row, Sql, Tx};
use crate::error::StoreError;
use crate::model::{
    Document, DocumentCounts, DocumentFault, DocumentStatus, Event, EventKind, Losses, Page, Served,
};
use crate::page;
use crate::ports::StoreResult;

/// A document that a statement changed.
pub(super) struct Changed {
    kb: KbId,
    id: DocumentId,
    revision: u64,
    batch: Option<BatchId>,
    /// The job that ingests it.
    pub(super) job: JobId,
}

impl Changed {
    fn event(self, status: &str, fault: Option<&DocumentFault>, now: DateTime<Utc>) -> Event {
        Event {
            kb_id: Some(self.kb),
            job_id: Some(self.job),
            document_id: Some(self.id),
            revision: Some(self.revision),
            batch_id: self.batch,
            status: Some(status.to_owned()),
            error: fault.cloned(),
            ..Event::new(EventKind::Document, now)
        }
    }
}

/// Reads what such a statement returns: `kb_id`, `document_id`, `revision`, `batch_id` and `job_id`.
pub(super) fn read_changed(row: &Row) -> sqlx::Result<Changed> {
    Ok(Changed {
        kb: row.parsed("kb_id")?,
        id: row.parsed("document_id")?,
        revision: row.number("revision")?,
        batch: row.id_or_null("batch_id")?,
        job: row.parsed("job_id")?,
    })
}

fn read_document(row: &Row) -> sqlx::Result<Document> {
    let fault = row.text_or_null("fault_code")?.zip(row.text_or_null("fault_detail")?);
    let has_faults = row.text_or_null("chunk_faults")?.is_some();
    let losses = Losses {
        chunks_failed: row.number("chunks_failed")?,
        chunks: if has_faults { row.json("chunk_faults")? } else { Vec::new() },
        records_dropped: row.number("records_dropped")?,
    };
    let status = match row.parsed("status")? {
        DocumentStatus::Processed if losses.chunks_failed > 0 => DocumentStatus::Partial,
        status => status,
    };
    Ok(Document {
        id: row.parsed("document_id")?,
        name: row.text("name")?,
        revision: row.number("revision")?,
        media_type: row.text("media_type")?,
        size_bytes: row.number("size_bytes")?,
        sha256: row.text("sha256")?,
        status,
        fault: fault.map(|(code, detail)| DocumentFault { code, detail }),
        counts: DocumentCounts {
            chunks: row.number("chunks")?,
            entities: row.number("entities")?,
            relations: row.number("relations")?,
        },
        served: row.number_or_null("served_revision")?,
        staged_chunks: row.number("staged_chunks")?,
        losses,
        job_id: row.parsed("job_id")?,
        batch: row.id_or_null("batch_id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

impl Catalog {
    /// One document. Documents that are being deleted are not found, here and in lists and totals.
    pub async fn document(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<Document>> {
        let select = self.sql(
            "select * from documents
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and deleting_at is null",
        );
        let select = select.bind(kb.as_str()).bind(id.as_str());
        self.rows.optional("catalog.document", select, read_document).await
    }

    /// Documents by id, beginning after `after`, of one status if given. At most `limit` (1 to 1,000).
    pub async fn documents(
        &self,
        kb: &KbId,
        status: Option<DocumentStatus>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> StoreResult<Page<Document>> {
        // Two statements, so that each can use its own index.
        let select = match status {
            None => self.sql(
                "select * from documents
                 where tenant_id = $1 and kb_id = $2 and document_id > $3 and deleting_at is null
                 order by document_id limit $4",
            ),
            Some(_) => self.sql(
                "select * from documents
                 where tenant_id = $1 and kb_id = $2 and document_id > $3 and status = $5
                   and case when status = 'processed' and chunks_failed > 0 then 'partial' else status end = $6
                   and deleting_at is null order by document_id limit $4",
            ),
        };
        let select = select.bind(kb.as_str()).bind(after.map_or("", DocumentId::as_str));
        let select = select.bind(page::rows_for(limit));
        let select = match status {
            None => select,
            Some(status) => select.bind(status.stored()).bind(status.as_str()),
        };
        let found = self.rows.all("catalog.documents", select, read_document).await?;
        Ok(page::cut(found, limit, |document| document.id.to_string()))
    }

    /// Documents by id, `limit` after the first `offset`, of one status if given.
    pub async fn documents_numbered(
        &self,
        kb: &KbId,
        status: Option<DocumentStatus>,
        offset: u64,
        limit: u32,
    ) -> StoreResult<Vec<Document>> {
        let select = match status {
            None => self.sql(
                "select * from documents where tenant_id = $1 and kb_id = $2 and deleting_at is null
                 order by document_id limit $3 offset $4",
            ),
            Some(_) => self.sql(
                "select * from documents
                 where tenant_id = $1 and kb_id = $2 and status = $5
                   and case when status = 'processed' and chunks_failed > 0 then 'partial' else status end = $6
                   and deleting_at is null order by document_id limit $3 offset $4",
            ),
        };
        let select = select.bind(kb.as_str()).bind(limit).bind(offset);
        let select = match status {
            None => select,
            Some(status) => select.bind(status.stored()).bind(status.as_str()),
        };
        self.rows.all("catalog.documents_numbered", select, read_document).await
    }

    /// SHA-256 digests of the originals of those of `ids` that exist and are not being deleted: of the newest revision,
    /// and of the one that is served. Pass a few hundred ids at most.
    pub async fn document_digests(
        &self,
        kb: &KbId,
        ids: &[DocumentId],
    ) -> StoreResult<Vec<(DocumentId, String)>> {
        let select = self.sql(
            "select document_id, sha256 from documents
             where tenant_id = $1 and kb_id = $2 and document_id {in $3} and deleting_at is null
             union
             select document_id, served_sha256 from documents
             where tenant_id = $1 and kb_id = $2 and document_id {in $3} and deleting_at is null
               and served_sha256 is not null",
        );
        let read = |row: &Row| Ok((row.parsed("document_id")?, row.text("sha256")?));
        self.rows.all("catalog.document_digests", select.bind(kb.as_str()).bind_list(ids), read).await
    }

    /// Number of documents by status, in the order of [`DocumentStatus::ALL`].
    pub async fn document_totals(&self, kb: &KbId) -> StoreResult<[u64; 5]> {
        let select = self.sql(
            "select case when status = 'processed' and chunks_failed > 0 then 'partial' else status end as status,
                 count(*) as total
             from documents where tenant_id = $1 and kb_id = $2 and deleting_at is null group by 1",
        );
        let read = |row: &Row| Ok((row.parsed::<DocumentStatus>("status")?, row.number("total")?));
        let found = self.rows.all("catalog.document_totals", select.bind(kb.as_str()), read).await?;
        let of = |status| found.iter().find(|(found, _)| *found == status).map_or(0, |(_, total)| *total);
        Ok(DocumentStatus::ALL.map(of))
    }

    /// A statement about one revision of a document: binds tenant, knowledge base, document, revision and time as
    /// `$1` to `$5`.
    fn change<'q>(
        &'q self,
        text: &'static str,
        (kb, id, revision): (&'q KbId, &'q DocumentId, u64),
        now: DateTime<Utc>,
    ) -> Sql<'q> {
        self.sql(text).bind(kb.as_str()).bind(id.as_str()).bind(revision).bind(now)
    }

    /// Runs the statement, which returns what [`read_changed`] reads, and tells listeners. Returns whether the revision
    /// was still the document's; if not, nothing changed.
    async fn changed(
        &self,
        operation: &'static str,
        change: Sql<'_>,
        (status, fault): (DocumentStatus, Option<&DocumentFault>),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let changed = self.rows.returning(operation, change, read_changed).await?;
        let is_current = !changed.is_empty();
        self.documents_told(changed, status, fault, now);
        Ok(is_current)
    }

    /// Tells listeners that documents have another status. Call it after the commit.
    pub(super) fn documents_told(
        &self,
        changed: impl IntoIterator<Item = Changed>,
        status: DocumentStatus,
        fault: Option<&DocumentFault>,
        now: DateTime<Utc>,
    ) {
        for document in changed {
            self.tell(document.event(status.as_str(), fault, now));
        }
    }

    /// Runs the statement together with the one that writes its events for webhooks. Returns as [`Self::changed`].
    async fn ended(
        &self,
        operation: &'static str,
        events: Sql<'_>,
        change: Sql<'_>,
        (status, fault): (DocumentStatus, Option<&DocumentFault>),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let mut tx = self.rows.write(operation).await?;
        tx.execute(events).await?;
        let changed = tx.all(change, read_changed).await?;
        // Without the commit, an event of what did not happen is not written either.
        let is_current = !changed.is_empty();
        if is_current {
            tx.commit().await?;
            self.documents_told(changed, status, fault, now);
        }
        Ok(is_current)
    }

    /// Marks revision `revision` of a document as processing by `job` and its children, with the number of its
    /// chunks, which are staged. Returns whether that is (still) the document's revision; if not, nothing changes.
    pub async fn document_processing(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, chunks): (JobId, u32),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let update = "update documents set status = 'processing', fault_code = null, fault_detail = null,
                          updated_at = $5, job_id = $6, staged_chunks = $7
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), now).bind(job).bind(chunks);
        self.changed("catalog.document_processing", change, (DocumentStatus::Processing, None), now).await
    }

    /// Marks revision `revision` as processed, with nothing missing. Returns as [`Catalog::document_processing`].
    pub async fn document_processed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        counts: DocumentCounts,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        self.document_built(kb, id, revision, (counts, &Losses::default()), now).await
    }

    /// Marks revision `revision` as processed, or as partial if chunks of it failed, and as the one that is served.
    /// Returns as [`Catalog::document_processing`].
    pub async fn document_built(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (counts, losses): (DocumentCounts, &Losses),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        const OPERATION: &str = "catalog.document_built";
        let unwritable = |error: serde_json::Error| StoreError::permanent(OPERATION, error);
        let listed = &losses.chunks[..losses.chunks.len().min(Losses::LISTED)];
        let faults = (!listed.is_empty()).then(|| serde_json::to_string(listed)).transpose();
        let faults = faults.map_err(unwritable)?;
        let partial = losses.chunks_failed > 0;
        // The bytes of what was staged are those of what is served now. Of a call that is repeated nothing is staged.
        let update = "update documents set status = 'processed', fault_code = null, fault_detail = null,
                          updated_at = $5, chunks = $6, entities = $7, relations = $8,
                          chunks_failed = $9, chunk_faults = $10, records_dropped = $11,
                          served_revision = $4, served_sha256 = sha256, kept_bytes = 0,
                          text_bytes = case when staged_text_bytes > 0 then staged_text_bytes else text_bytes end,
                          graph_bytes = case when staged_text_bytes + staged_graph_bytes > 0
                                        then staged_graph_bytes else graph_bytes end,
                          staged_text_bytes = 0, staged_graph_bytes = 0
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), now);
        let change = change.bind(counts.chunks).bind(counts.entities).bind(counts.relations);
        let change = change.bind(losses.chunks_failed).bind(faults).bind(losses.records_dropped);
        // As the status is stored, so that a second time is not told of.
        let told =
            (Some(DocumentStatus::Processed.as_str()), partial.then_some(DocumentStatus::Partial.as_str()));
        let events = self.document_events(OF_REVISION, EventType::DocumentProcessed, told, now);
        let events = events.bind(kb.as_str()).bind(id.as_str()).bind(revision);
        let status = if partial { DocumentStatus::Partial } else { DocumentStatus::Processed };
        self.ended(OPERATION, events, change, (status, None), now).await
    }

    /// Notes what the index holds of a document, if that is a later revision than the catalog knew. The status stays:
    /// it is that of the newest revision.
    pub async fn document_served(&self, kb: &KbId, id: &DocumentId, served: &Served) -> StoreResult<()> {
        let update = self.sql(
            "update documents set served_revision = $4, chunks = $5, entities = $6, relations = $7,
                 served_sha256 = case when revision = $4 then sha256 else $8 end,
                 kept_bytes = case when revision = $4 or sha256 = $8 then 0 else $9 end
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision >= $4
               and deleting_at is null and (served_revision is null or served_revision < $4)",
        );
        let update = update.bind(kb.as_str()).bind(id.as_str()).bind(served.revision);
        let DocumentCounts { chunks, entities, relations } = served.counts;
        let update = update.bind(chunks).bind(entities).bind(relations);
        let original = served.original.as_ref();
        let update = update.bind(original.map(|(sha256, _)| sha256.as_str()));
        let update = update.bind(original.map_or(0, |(_, bytes)| *bytes));
        self.rows.execute("catalog.document_served", update).await.map(drop)
    }

    /// Marks revision `revision` as failed. Returns as [`Catalog::document_processing`].
    pub async fn document_failed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let update =
            "update documents set status = 'failed', updated_at = $5, fault_code = $6, fault_detail = $7
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), now);
        let change = change.bind(&fault.code).bind(&fault.detail);
        let told = (Some("failed"), Some(fault.code.as_str()));
        let events = self.document_events(OF_REVISION, EventType::DocumentFailed, told, now);
        let events = events.bind(kb.as_str()).bind(id.as_str()).bind(revision);
        let status = (DocumentStatus::Failed, Some(fault));
        self.ended("catalog.document_failed", events, change, status, now).await
    }

    /// Sets a document back to pending under the same revision with a new job, at the start of a reindex. Returns
    /// whether the revision is still current; if not, nothing changes.
    pub async fn document_pending(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        job: JobId,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let update = "update documents set status = 'pending', fault_code = null, fault_detail = null,
                          updated_at = $5, job_id = $6
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), now).bind(job);
        self.changed("catalog.document_pending", change, (DocumentStatus::Pending, None), now).await
    }

    /// Sets a failed document back to `status` under the same revision, so that `job` continues the work. Of
    /// several jobs that ask, one gets the document, and gets it again until the document is processed. Returns
    /// whether `job` has it.
    pub async fn document_reopen(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, status): (JobId, DocumentStatus),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let update = "update documents set status = $7, fault_code = null, fault_detail = null,
                          updated_at = $5, job_id = $6
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                        and deleting_at is null
                        and (status = 'failed' or (job_id = $6 and status <> 'processed'))
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), now).bind(job).bind(status.as_str());
        self.changed("catalog.document_reopen", change, (status, None), now).await
    }

    /// As [`Catalog::document_reopen`], for a document that failed before `before` and has not changed since. Returns
    /// whether it did.
    pub async fn document_redriven(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, status): (JobId, DocumentStatus),
        before: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let update = "update documents set status = $7, fault_code = null, fault_detail = null,
                          updated_at = $5, job_id = $6
                      where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
                        and deleting_at is null and status = 'failed' and updated_at <= $5
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, (kb, id, revision), before).bind(job).bind(status.as_str());
        self.changed("catalog.document_redriven", change, (status, None), before).await
    }

    /// Marks a document as being deleted. Each call raises the revision, so that a concurrent upload fails with a
    /// conflict and reads the document again.
    pub(super) async fn document_deletion_begin(
        &self,
        operation: &'static str,
        document: (&KbId, &DocumentId, u64),
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>> {
        let update = "update documents set deleting_at = coalesce(deleting_at, $5), revision = revision + 1
                      where tenant_id = $1 and kb_id = $2 and document_id = $3
                        and (revision = $4 or (deleting_at is not null and revision > $4))
                      returning kb_id, document_id, revision, batch_id, job_id";
        let change = self.change(update, document, now);
        let begun = self.rows.returning(operation, change, read_changed).await?.pop();
        let revision = begun.as_ref().map(|changed| changed.revision);
        if let Some(changed) = begun {
            self.tell(changed.event("deleted", None, now));
        }
        Ok(revision)
    }

    /// Removes the row of a document that is being deleted. Returns whether there was one.
    pub(super) async fn document_delete(
        &self,
        operation: &'static str,
        (kb, id, revision): (&KbId, &DocumentId, u64),
    ) -> StoreResult<bool> {
        let mut tx = self.rows.write(operation).await?;
        self.lock(&mut tx).await?;
        let told = (Some("deleted"), None);
        let events = self.document_events(OF_REMOVED, EventType::DocumentDeleted, told, self.clock.now());
        tx.execute(events.bind(kb.as_str()).bind(id.as_str()).bind(revision)).await?;
        let leave = self.sql(
            "insert into batch_left (tenant_id, left_id, batch_id, kb_id, how, left_at)
             select tenant_id, $5, batch_id, kb_id, 'deleted', deleting_at from documents
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
               and deleting_at is not null and batch_id is not null",
        );
        let leave = leave.bind(kb.as_str()).bind(id.as_str()).bind(revision).bind(Uuid::now_v7());
        tx.execute(leave).await?;
        let delete = self.sql(
            "delete from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
               and deleting_at is not null",
        );
        if tx.execute(delete.bind(kb.as_str()).bind(id.as_str()).bind(revision)).await? == 0 {
            return Ok(false);
        }
        self.revisions_gone(&mut tx, revision).await?;
        tx.leave_no_traces().await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Raises the revision that new documents start from to `last` plus two, so that an upload that read a deleted
    /// document's revision fails with a conflict and reads again. The transaction holds the tenant's lock.
    pub(super) async fn revisions_gone(&self, tx: &mut Tx, last: u64) -> StoreResult<()> {
        let update =
            self.sql("update tenants set gone_revision = $2 where tenant_id = $1 and gone_revision < $2");
        tx.execute(update.bind(last.saturating_add(1))).await.map(drop)
    }
}
