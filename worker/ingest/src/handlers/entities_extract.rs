//! `entities.extract`: extracts entities and relations from a range of chunks.

use std::collections::HashSet;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};
use jobs::JobError;
use jobs::types::ExtractEntities;
use stores::model::{Chunk, ChunkFault, Document, DocumentStatus, Extraction, Kb, Stage};
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use crate::extract::ExtractError;
use crate::registry::Product;
use crate::tools::Tools;

/// Chunks of one job that are with the extractor at the same time.
const CHUNKS_AT_ONCE: usize = 4;
/// Results held before they are written, if they can be had again for nothing: those of a document with many small
/// chunks take more memory than the document. Others are written as they come, so that no end of a job pays twice.
const STORED_AT_ONCE: usize = 32;
/// How often a chunk is asked about whose answers cannot be read: each is paid for.
const CHUNK_ATTEMPTS: u32 = 3;

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
        // What is busy is left alone; the answers that are on their way are waited for, because they are paid for.
        let stopped = AtomicBool::new(false);
        let mut results = stream::iter(missing)
            .take_while(|_| ready(!stopped.load(Ordering::Relaxed)))
            .map(async |chunk| (chunk.order, extractor.extract(&chunk.content, &compute).await))
            .buffer_unordered(CHUNKS_AT_ONCE);

        let at_once = if extractor.is_costly() { 1 } else { STORED_AT_ONCE };
        let (mut found, mut done, mut failure) = (Vec::with_capacity(at_once), 0, None);
        while let Some((order, result)) = results.next().await {
            match result.or_else(|error| without(order, error, cx.attempt())) {
                Ok(extraction) => {
                    found.push((order, extraction));
                    done += 1;
                }
                Err(error) => {
                    if matches!(error, ExtractError::Busy { .. } | ExtractError::Fail { .. }) {
                        stopped.store(true, Ordering::Relaxed);
                    }
                    failure = Some(graver(failure, error));
                }
            }
            if found.len() == at_once {
                store(self, cx, &kb, &mut found).await?;
                report(done);
            }
        }
        // Stored even when another chunk failed, so that the next attempt extracts only the rest.
        store(self, cx, &kb, &mut found).await?;
        report(done);
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

/// If the error is the end of the chunk, the document does without: an extraction that says why there is nothing.
fn without(order: u32, error: ExtractError, attempt: u32) -> Result<Extraction, ExtractError> {
    let (code, detail, retryable) = match error {
        ExtractError::Chunk { code, reason } => (code, reason, false),
        ExtractError::Retry { code, reason } if attempt >= CHUNK_ATTEMPTS => (code, reason, true),
        error => return Err(error),
    };
    tracing::info!(chunk.order = order, code, "nothing is extracted from a chunk: {detail}");
    let fault = ChunkFault { code: code.to_owned(), detail, retryable };
    Ok(Extraction { fault: Some(fault), ..Extraction::default() })
}

/// The error that decides about the job: one that stays, then one of the endpoint, the longest wait first.
fn graver(known: Option<ExtractError>, other: ExtractError) -> ExtractError {
    let rank = |error: &ExtractError| match error {
        ExtractError::Fail { .. } => (2, None),
        ExtractError::Busy { retry_after, .. } => (1, *retry_after),
        ExtractError::Retry { .. } | ExtractError::Chunk { .. } => (0, None),
    };
    known.filter(|known| rank(known) >= rank(&other)).unwrap_or(other)
}

/// Converts an extractor's error to the job's.
fn job_error(error: ExtractError) -> JobError {
    match error {
        ExtractError::Fail { code, reason } | ExtractError::Chunk { code, reason } => {
            JobError::fail(code, reason)
        }
        ExtractError::Busy { retry_after, .. } => JobError::wait("the model", retry_after, error),
        ExtractError::Retry { .. } => JobError::retry(error),
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
