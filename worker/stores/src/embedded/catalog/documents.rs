//! The document registry.

use chrono::{DateTime, Utc};
use jobs::tenant::{KbId, TenantId};
use jobs::{DocumentId, JobId};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::column::{micros, moment, parsed, signed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{Document, DocumentCounts, DocumentFault, DocumentStatus, NewDocument, Page};
use crate::page;

#[derive(sqlx::FromRow)]
struct DocumentRow {
    document_id: String,
    name: String,
    revision: i64,
    media_type: String,
    size_bytes: i64,
    sha256: String,
    status: String,
    fault_code: Option<String>,
    fault_detail: Option<String>,
    chunks: u32,
    entities: u32,
    relations: u32,
    job_id: String,
    created_at_us: i64,
    updated_at_us: i64,
}

impl TryFrom<DocumentRow> for Document {
    type Error = Fault;

    fn try_from(row: DocumentRow) -> Result<Self, Fault> {
        let fault = row.fault_code.zip(row.fault_detail);
        Ok(Self {
            id: parsed(&row.document_id, "documents.document_id")?,
            name: row.name,
            revision: unsigned(row.revision, "documents.revision")?,
            media_type: row.media_type,
            size_bytes: unsigned(row.size_bytes, "documents.size_bytes")?,
            sha256: row.sha256,
            status: parsed(&row.status, "documents.status")?,
            fault: fault.map(|(code, detail)| DocumentFault { code, detail }),
            counts: DocumentCounts { chunks: row.chunks, entities: row.entities, relations: row.relations },
            job_id: parsed(&row.job_id, "documents.job_id")?,
            created_at: moment(row.created_at_us, "documents.created_at_us")?,
            updated_at: moment(row.updated_at_us, "documents.updated_at_us")?,
        })
    }
}

pub(super) async fn document(
    catalog: &TenantCatalog,
    kb: &KbId,
    id: &DocumentId,
) -> Result<Option<Document>, Fault> {
    let row: Option<DocumentRow> = sqlx::query_as(
        "SELECT * FROM documents
         WHERE tenant_id = ? AND kb_id = ? AND document_id = ? AND deleting_at_us IS NULL",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .fetch_optional(catalog.file.read())
    .await?;
    row.map(Document::try_from).transpose()
}

pub(super) async fn revision(catalog: &TenantCatalog, kb: &KbId, id: &DocumentId) -> Result<u64, Fault> {
    let revision: i64 = sqlx::query_scalar(
        "SELECT coalesce(
             (SELECT revision FROM documents WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3),
             (SELECT gone_revision FROM tenants WHERE tenant_id = ?1), 0)",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .fetch_one(catalog.file.read())
    .await?;
    unsigned(revision, "documents.revision")
}

/// Which documents to list.
pub(super) struct Listing<'a> {
    pub(super) status: Option<DocumentStatus>,
    pub(super) after: Option<&'a DocumentId>,
    pub(super) limit: u32,
}

pub(super) async fn documents(
    catalog: &TenantCatalog,
    kb: &KbId,
    listing: &Listing<'_>,
) -> Result<Page<Document>, Fault> {
    // Two statements, so that each has its index.
    let query = match listing.status {
        None => sqlx::query_as(
            "SELECT * FROM documents WHERE tenant_id = ? AND kb_id = ? AND document_id > ?
               AND deleting_at_us IS NULL ORDER BY document_id LIMIT ?",
        )
        .bind(catalog.tenant.as_str())
        .bind(kb.as_str()),
        Some(status) => sqlx::query_as(
            "SELECT * FROM documents WHERE tenant_id = ? AND kb_id = ? AND status = ? AND document_id > ?
               AND deleting_at_us IS NULL ORDER BY document_id LIMIT ?",
        )
        .bind(catalog.tenant.as_str())
        .bind(kb.as_str())
        .bind(status.as_str()),
    };
    let rows: Vec<DocumentRow> = query
        .bind(listing.after.map_or("", DocumentId::as_str))
        .bind(page::rows_for(listing.limit))
        .fetch_all(catalog.file.read())
        .await?;
    let items = rows.into_iter().map(Document::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(page::cut(items, listing.limit, |document| document.id.to_string()))
}

pub(super) async fn digests(
    catalog: &TenantCatalog,
    kb: &KbId,
    ids: &[DocumentId],
) -> Result<Vec<(DocumentId, String)>, Fault> {
    let ids: Vec<&str> = ids.iter().map(DocumentId::as_str).collect();
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT document_id, sha256 FROM documents
         WHERE tenant_id = ? AND kb_id = ? AND document_id IN (SELECT value FROM json_each(?))
           AND deleting_at_us IS NULL",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(serde_json::to_string(&ids)?)
    .fetch_all(catalog.file.read())
    .await?;
    rows.into_iter().map(|(id, sha256)| Ok((parsed(&id, "documents.document_id")?, sha256))).collect()
}

pub(super) async fn totals(catalog: &TenantCatalog, kb: &KbId) -> Result<[u64; 4], Fault> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT status, count(*) FROM documents
         WHERE tenant_id = ? AND kb_id = ? AND deleting_at_us IS NULL GROUP BY status",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .fetch_all(catalog.file.read())
    .await?;
    let mut totals = [0; 4];
    for (total, status) in totals.iter_mut().zip(DocumentStatus::ALL) {
        let found = rows.iter().find(|(name, _)| name == status.as_str());
        *total = unsigned(found.map_or(0, |(_, count)| *count), "count(*)")?;
    }
    Ok(totals)
}

/// Registers an upload as pending. Returns whether its revision is the one that comes next.
pub(super) async fn register(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    kb: &KbId,
    new: &NewDocument,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    // A new document has a revision that nobody had before; a known one's must find exactly its predecessor.
    let done = sqlx::query(
        "INSERT INTO documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256,
                                status, job_id, created_at_us, updated_at_us)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', ?9, ?10, ?10
         WHERE ?5 = (SELECT gone_revision + 1 FROM tenants WHERE tenant_id = ?1) OR EXISTS (
             SELECT 1 FROM documents WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3)
         ON CONFLICT (tenant_id, kb_id, document_id) DO UPDATE SET
             name = excluded.name, revision = excluded.revision, media_type = excluded.media_type,
             size_bytes = excluded.size_bytes, sha256 = excluded.sha256, status = 'pending',
             fault_code = NULL, fault_detail = NULL, chunks = 0, entities = 0, relations = 0,
             job_id = excluded.job_id, updated_at_us = excluded.updated_at_us, deleting_at_us = NULL
         WHERE documents.revision = excluded.revision - 1",
    )
    .bind(tenant.as_str())
    .bind(kb.as_str())
    .bind(new.id.as_str())
    .bind(&new.name)
    .bind(signed(new.revision, "documents.revision")?)
    .bind(&new.media_type)
    .bind(signed(new.size_bytes, "documents.size_bytes")?)
    .bind(&new.sha256)
    .bind(new.job_id.to_string())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A change of one revision of a document.
pub(super) struct Change<'a> {
    pub(super) kb: &'a KbId,
    pub(super) id: &'a DocumentId,
    pub(super) revision: u64,
    pub(super) now: DateTime<Utc>,
}

type Update = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Runs an update whose first five parameters are tenant, knowledge base, document, revision and time.
async fn update(
    catalog: &TenantCatalog,
    change: &Change<'_>,
    statement: &'static str,
    bind: impl FnOnce(Update) -> Update + Send,
) -> Result<bool, Fault> {
    let query = sqlx::query(statement)
        .bind(catalog.tenant.as_str().to_owned())
        .bind(change.kb.as_str().to_owned())
        .bind(change.id.as_str().to_owned())
        .bind(signed(change.revision, "documents.revision")?)
        .bind(micros(change.now));
    let done = bind(query).execute(catalog.file.write()).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn processing(
    catalog: &TenantCatalog,
    change: &Change<'_>,
    job: JobId,
    chunks: u32,
) -> Result<bool, Fault> {
    let statement = "UPDATE documents SET status = 'processing', fault_code = NULL, fault_detail = NULL,
             updated_at_us = ?5, job_id = ?6, chunks = ?7
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4";
    update(catalog, change, statement, |query| query.bind(job.to_string()).bind(chunks)).await
}

pub(super) async fn reopen(
    catalog: &TenantCatalog,
    change: &Change<'_>,
    job: JobId,
    status: DocumentStatus,
) -> Result<bool, Fault> {
    let statement = "UPDATE documents SET status = ?7, fault_code = NULL, fault_detail = NULL,
             updated_at_us = ?5, job_id = ?6
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4
           AND deleting_at_us IS NULL AND (status = 'failed' OR (job_id = ?6 AND status <> 'processed'))";
    update(catalog, change, statement, |query| query.bind(job.to_string()).bind(status.as_str())).await
}

pub(super) async fn processed(
    catalog: &TenantCatalog,
    change: &Change<'_>,
    counts: DocumentCounts,
) -> Result<bool, Fault> {
    let statement = "UPDATE documents SET status = 'processed', fault_code = NULL, fault_detail = NULL,
             updated_at_us = ?5, chunks = ?6, entities = ?7, relations = ?8
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4";
    let bind = |query: Update| query.bind(counts.chunks).bind(counts.entities).bind(counts.relations);
    update(catalog, change, statement, bind).await
}

pub(super) async fn failed(
    catalog: &TenantCatalog,
    change: &Change<'_>,
    fault: &DocumentFault,
) -> Result<bool, Fault> {
    let statement =
        "UPDATE documents SET status = 'failed', updated_at_us = ?5, fault_code = ?6, fault_detail = ?7
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4";
    let (code, detail) = (fault.code.clone(), fault.detail.clone());
    update(catalog, change, statement, |query| query.bind(code).bind(detail)).await
}

pub(super) async fn pending(catalog: &TenantCatalog, change: &Change<'_>, job: JobId) -> Result<bool, Fault> {
    let statement = "UPDATE documents SET status = 'pending', fault_code = NULL, fault_detail = NULL,
             updated_at_us = ?5, job_id = ?6
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4";
    update(catalog, change, statement, |query| query.bind(job.to_string())).await
}
