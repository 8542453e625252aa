//! `entities.extract`: extracts entities and relations from a range of chunks.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use jobs::JobError;
use jobs::types::ExtractEntities;
use stores::model::{Chunk, Document, DocumentStatus, Extraction, Kb, Stage};
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use crate::extract::ExtractError;
use crate::registry::Product;
use crate::tools::Tools;

/// Chunks of one job that are with the extractor at the same time.
const CHUNKS_AT_ONCE: usize = 4;
/// Results held before they are written: those of a document with many small chunks take more memory than the
/// document.
const STORED_AT_ONCE: usize = 32;

impl Handler<Product> for ExtractEntities {
    #[tracing::instrument(name = "entities.extract", skip_all,
        fields(document.id = %self.document_id, chunk.first = self.first, chunk.count = self.count))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let Some((kb, document)) = document::current(cx, &self.document_id, self.revision).await? else {
            return Ok(());
        };
        if document.status == DocumentStatus::Failed {
            tracing::info!("the document failed before, nothing is extracted from it");
            return Ok(());
        }
        if document.job_id == cx.job_id() {
            // The job was started again after the document had failed: its group is gone, so this opens a new one.
            return document::extraction_open_rest(cx, &kb, &document, 0).await;
        }
        if !document::works_on(cx, &document) {
            tracing::info!("another job works on the document now, nothing to do");
            return Ok(());
        }
        let missing = missing(self, cx, &kb, &document).await?;
        // Counted with those that an earlier attempt has extracted.
        let before = u64::from(self.count).saturating_sub(missing.len() as u64);
        let report = |done: u64| {
            let part = (Stage::Extracting, self.first);
            document::report(cx, &document, part, before + done, self.count.into());
        };
        report(0);
        let (compute, extractor) = (cx.compute(), &cx.state::<Tools>()?.extractor);
        let mut results = stream::iter(missing)
            .map(async |chunk| (chunk.order, extractor.extract(&chunk.content, &compute).await))
            .buffer_unordered(CHUNKS_AT_ONCE);

        let (mut found, mut done, mut failure) = (Vec::with_capacity(STORED_AT_ONCE), 0, None);
        while let Some((order, result)) = results.next().await {
            match result {
                Ok(extraction) => {
                    found.push((order, extraction));
                    done += 1;
                    report(done);
                }
                Err(error) => failure = Some(error),
            }
            if found.len() == STORED_AT_ONCE {
                store(self, cx, &kb, &mut found).await?;
            }
        }
        // Stored even when another chunk failed, so that the next attempt extracts only the rest.
        store(self, cx, &kb, &mut found).await?;
        document::forget_if_deleted(cx, &kb, &self.document_id).await?;
        failure.map_or(Ok(()), |error| Err(job_error(error)))
    }

    async fn discarded(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_failed(cx, &self.document_id, self.revision, code, reason).await
    }

    async fn refused(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_refused(cx, &self.document_id, self.revision, code, reason).await
    }
}

impl Reopen<Product> for ExtractEntities {
    async fn reopen(&self, cx: &JobContext) -> Result<Reopened, JobError> {
        document::reopen(cx, &self.document_id, self.revision, DocumentStatus::Processing).await
    }
}

/// Writes the results so far, and empties the list.
async fn store(
    job: &ExtractEntities,
    cx: &JobContext,
    kb: &Kb,
    found: &mut Vec<(u32, Extraction)>,
) -> Result<(), JobError> {
    if !found.is_empty() {
        let documents = cx.stores().documents();
        documents.extractions_put(&kb.id, &job.document_id, job.revision, found).await?;
        found.clear();
    }
    Ok(())
}

/// Converts an extractor's error to the job's.
fn job_error(error: ExtractError) -> JobError {
    match (error.retry_after(), error) {
        (_, ExtractError::Fail { code, reason }) => JobError::fail(code, reason),
        (Some(after), error) => JobError::retry_after(after, error),
        (None, error) => JobError::retry(error),
    }
}

/// The chunks of `job` that have no result yet.
async fn missing(
    job: &ExtractEntities,
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
) -> Result<Vec<Chunk>, JobError> {
    let orders = job.first..job.first.saturating_add(job.count);
    let documents = cx.stores().documents();
    let done = documents.extractions(&kb.id, &job.document_id, job.revision, orders.clone()).await?;
    let done: HashSet<u32> = done.into_iter().map(|(order, _)| order).collect();
    let chunks = document::chunks(cx, kb, document, orders).await?;
    Ok(chunks.into_iter().filter(|chunk| !done.contains(&chunk.order)).collect())
}
