//! What an upload has to know before its originals are stored, in one read.
//!
//! Everything is checked again by [`Catalog::accept`] in its transaction. The view saves work: a repeated request gets
//! its answer at once, and a tenant at its quota cannot fill the blob store.

use chrono::{DateTime, Utc};

use super::accept::{IDEMPOTENCY_KEPT, read_replay};
use super::usage::counts_documents;
use super::{Catalog, Row, Value};
use crate::model::{BatchId, Counter, KnownDocument, Replay, UploadQuestion, UploadView, Usage};
use crate::ports::StoreResult;

impl Catalog {
    /// What there is of an upload already, and what the tenant uses.
    pub async fn upload_view(
        &self,
        asked: &UploadQuestion<'_>,
        now: DateTime<Utc>,
    ) -> StoreResult<UploadView> {
        let rows = asked.documents.iter().enumerate();
        let rows = rows.map(|(at, id)| [("at", Value::from(at as u64)), ("id", id.as_str().into())]);
        let select = self.sql(SELECT).bind(asked.kb.as_str()).bind_rows(rows).bind(asked.key);
        let select = select.bind(now - IDEMPOTENCY_KEPT).bind(Counter::Jobs.period(now));
        let select = select.bind(counts_documents(asked.limits)).bind(asked.batch.map(BatchId::uuid));
        let found = self.rows.all("catalog.upload_view", select, read_document).await?;
        let mut view = UploadView::default();
        for (known, replay, usage, batch_cancelled) in found {
            view.batch_cancelled = batch_cancelled;
            view.documents.push(known);
            view.replay = view.replay.or(replay);
            view.usage = usage;
        }
        Ok(view)
    }
}

/// A row for each document. The stored answer is in the first one alone, because it can be long. Documents and bytes
/// are 0 where they are not counted ($7).
const SELECT: &str = "
select coalesce(known.revision, (select gone_revision from tenants where tenant_id = $1), 0) as revision,
    case when known.deleting_at is null then known.size_bytes end as replaced_bytes,
    answer.fingerprint, answer.status as answer_status, answer.body, counted.documents, counted.storage_bytes,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'jobs' and period = $6), 0) as daily_jobs,
    exists (select 1 from batch_cancellations
            where tenant_id = $1 and kb_id = $2 and batch_id = $8) as batch_cancelled
from {rows $3 as asked (at bigint, id text)}
left join documents as known on known.tenant_id = $1 and known.kb_id = $2 and known.document_id = asked.id
left join idempotency as answer
    on asked.at = 0 and answer.tenant_id = $1 and answer.key = $4 and answer.created_at > $5
cross join (select count(*) as documents,
                cast(coalesce(sum(size_bytes + text_bytes + graph_bytes), 0) as bigint) as storage_bytes
            from documents where tenant_id = $1 and $7) as counted
order by asked.at";

fn read_document(row: &Row) -> sqlx::Result<(KnownDocument, Option<Replay>, Usage, bool)> {
    let known = KnownDocument {
        revision: row.number("revision")?,
        replaced_bytes: row.number_or_null("replaced_bytes")?,
    };
    let replay = match row.text_or_null("fingerprint")? {
        Some(_) => Some(read_replay(row, "answer_status")?),
        None => None,
    };
    let usage = Usage {
        documents: row.number("documents")?,
        storage_bytes: row.number("storage_bytes")?,
        daily_jobs: row.number("daily_jobs")?,
        ..Usage::default()
    };
    Ok((known, replay, usage, row.flag("batch_cancelled")?))
}
