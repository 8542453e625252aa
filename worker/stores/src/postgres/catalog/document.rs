//! Documents: what they are and where they are on their way.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::{DocumentId, JobId};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::{Document, DocumentCounts, DocumentFault, DocumentStatus, Page};
use crate::page;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;

pub(super) async fn document(db: &TenantDb, kb: &KbId, id: &DocumentId) -> StoreResult<Option<Document>> {
    let sql = sqlx::query(
        "select *, job_id::text as job from documents \
         where tenant_id = $1 and kb_id = $2 and document_id = $3 and deleting_at is null",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let mut tx = db.tx("catalog.document").await?;
    let found = tx.optional(sql, read_document).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn revision(db: &TenantDb, kb: &KbId, id: &DocumentId) -> StoreResult<u64> {
    let sql = sqlx::query(
        "select coalesce( \
             (select revision from documents where tenant_id = $1 and kb_id = $2 and document_id = $3), \
             (select gone_revision from tenants where tenant_id = $1), 0) as revision",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let mut tx = db.tx("catalog.document_revision").await?;
    let revision = tx.one(sql, |row| row::number(row, "revision")).await?;
    tx.commit().await?;
    Ok(revision)
}

pub(super) async fn documents(
    db: &TenantDb,
    kb: &KbId,
    status: Option<DocumentStatus>,
    after: Option<&DocumentId>,
    limit: u32,
) -> StoreResult<Page<Document>> {
    let sql = match status {
        None => sqlx::query(
            "select *, job_id::text as job from documents \
             where tenant_id = $1 and kb_id = $2 and document_id > $3 and deleting_at is null \
             order by document_id limit $4",
        ),
        Some(_) => sqlx::query(
            "select *, job_id::text as job from documents \
             where tenant_id = $1 and kb_id = $2 and document_id > $3 and status = $5 \
               and deleting_at is null order by document_id limit $4",
        ),
    };
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(after.map_or("", DocumentId::as_str));
    let sql = sql.bind(i64::from(page::rows_for(limit)));
    let sql = match status {
        None => sql,
        Some(status) => sql.bind(status.as_str()),
    };
    let mut tx = db.tx("catalog.documents").await?;
    let found = tx.all(sql, read_document).await?;
    tx.commit().await?;
    Ok(page::cut(found, limit, |document| document.id.to_string()))
}

pub(super) async fn digests(
    db: &TenantDb,
    kb: &KbId,
    ids: &[DocumentId],
) -> StoreResult<Vec<(DocumentId, String)>> {
    let sql = sqlx::query(
        "select document_id, sha256 from documents \
         where tenant_id = $1 and kb_id = $2 and document_id = any($3) and deleting_at is null",
    );
    let ids: Vec<&str> = ids.iter().map(DocumentId::as_str).collect();
    let mut tx = db.tx("catalog.document_digests").await?;
    let read = |row: &PgRow| Ok((row::parsed(row, "document_id")?, row.try_get("sha256")?));
    let found = tx.all(sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(ids), read).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn totals(db: &TenantDb, kb: &KbId) -> StoreResult<[u64; 4]> {
    let sql = sqlx::query(
        "select status, count(*) as total from documents \
         where tenant_id = $1 and kb_id = $2 and deleting_at is null group by status",
    );
    let mut tx = db.tx("catalog.document_totals").await?;
    let found = tx.all(sql.bind(db.tenant().as_str()).bind(kb.as_str()), read_total).await?;
    tx.commit().await?;
    let of = |status| found.iter().find(|(found, _)| *found == status).map_or(0, |(_, total)| *total);
    Ok(DocumentStatus::ALL.map(of))
}

fn read_total(row: &PgRow) -> sqlx::Result<(DocumentStatus, u64)> {
    Ok((row::parsed(row, "status")?, row::number(row, "total")?))
}

/// What a document becomes.
pub(super) enum Becomes<'a> {
    Pending { job: JobId },
    Processing { job: JobId, chunks: u32 },
    Reopened { job: JobId, status: DocumentStatus },
    Processed { counts: DocumentCounts },
    Failed { fault: &'a DocumentFault },
}

/// Whether `revision` is the document's revision; if not, nothing changes.
pub(super) async fn becomes(
    db: &TenantDb,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
    becomes: &Becomes<'_>,
    now: DateTime<Utc>,
) -> StoreResult<bool> {
    let sql = match becomes {
        Becomes::Pending { .. } => sqlx::query(
            "update documents set updated_at = $5, status = 'pending', fault_code = null, fault_detail = null, \
             job_id = $6::uuid \
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4",
        ),
        Becomes::Processing { .. } => sqlx::query(
            "update documents set updated_at = $5, status = 'processing', fault_code = null, \
             fault_detail = null, job_id = $6::uuid, chunks = $7 \
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4",
        ),
        Becomes::Reopened { .. } => sqlx::query(
            "update documents set updated_at = $5, status = $7, fault_code = null, fault_detail = null, \
             job_id = $6::uuid \
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4 \
               and deleting_at is null \
               and (status = 'failed' or (job_id = $6::uuid and status <> 'processed'))",
        ),
        Becomes::Processed { .. } => sqlx::query(
            "update documents set updated_at = $5, status = 'processed', fault_code = null, \
             fault_detail = null, chunks = $6, entities = $7, relations = $8 \
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4",
        ),
        Becomes::Failed { .. } => sqlx::query(
            "update documents set updated_at = $5, status = 'failed', fault_code = $6, fault_detail = $7 \
             where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4",
        ),
    };
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    let sql = sql.bind(row::wide(revision)).bind(now);
    let (operation, sql) = match becomes {
        Becomes::Pending { job } => ("catalog.document_pending", sql.bind(job.to_string())),
        Becomes::Processing { job, chunks } => {
            ("catalog.document_processing", sql.bind(job.to_string()).bind(i64::from(*chunks)))
        }
        Becomes::Reopened { job, status } => {
            ("catalog.document_reopen", sql.bind(job.to_string()).bind(status.as_str()))
        }
        Becomes::Processed { counts } => {
            let sql = sql.bind(i64::from(counts.chunks)).bind(i64::from(counts.entities));
            ("catalog.document_processed", sql.bind(i64::from(counts.relations)))
        }
        Becomes::Failed { fault } => ("catalog.document_failed", sql.bind(&fault.code).bind(&fault.detail)),
    };
    let mut tx = db.tx(operation).await?;
    let current = tx.execute(sql).await? == 1;
    tx.commit().await?;
    Ok(current)
}

fn read_document(row: &PgRow) -> sqlx::Result<Document> {
    let fault = match row.try_get("fault_code")? {
        None => None,
        Some(code) => Some(DocumentFault { code, detail: row.try_get("fault_detail")? }),
    };
    Ok(Document {
        id: row::parsed(row, "document_id")?,
        name: row.try_get("name")?,
        revision: row::number(row, "revision")?,
        media_type: row.try_get("media_type")?,
        size_bytes: row::number(row, "size_bytes")?,
        sha256: row.try_get("sha256")?,
        status: row::parsed(row, "status")?,
        fault,
        counts: DocumentCounts {
            chunks: row::number(row, "chunks")?,
            entities: row::number(row, "entities")?,
            relations: row::number(row, "relations")?,
        },
        job_id: row::parsed(row, "job")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
