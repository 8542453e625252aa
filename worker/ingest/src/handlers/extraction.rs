//! The group of jobs that extract from a document's chunks; when its last member has ended, the graph is built.

use std::collections::HashSet;

use jobs::types::{BuildGraph, ExtractEntities};
use jobs::{DocumentId, JobError};
use stores::model::{Document, Kb};
use worker::context::JobContext;

/// Chunks per extraction job at least: enough that its overhead does not matter, few enough that a retry repeats
/// little.
const CHUNKS_PER_JOB: u32 = 8;
/// Extraction jobs per document at most, because a finish enqueues a bounded number of children.
const EXTRACTION_JOBS: u32 = 400;

/// Chunks whose extractions are read at once.
pub(super) const READ_AT_ONCE: u32 = 32;

/// Opens the group for all chunks of a document.
pub(super) fn open(cx: &JobContext, id: &DocumentId, revision: u64, chunks: u32) -> Result<(), JobError> {
    open_where(cx, (id, revision, chunks), |_| true)
}

/// Opens the group for the chunks of a document that have no result yet. A job that was started again continues the
/// interrupted work this way.
pub(super) async fn open_rest(cx: &JobContext, kb: &Kb, document: &Document) -> Result<(), JobError> {
    let (documents, chunks) = (cx.stores().documents(), document.counts.chunks);
    let mut done = HashSet::new();
    for first in (0..chunks).step_by(READ_AT_ONCE as usize) {
        let orders = first..chunks.min(first + READ_AT_ONCE);
        let found = documents.extractions(&kb.id, &document.id, document.revision, orders).await?;
        done.extend(found.into_iter().map(|(order, _)| order));
    }
    let of = (&document.id, document.revision, document.counts.chunks);
    open_where(cx, of, |job| (job.first..job.first + job.count).any(|order| !done.contains(&order)))
}

/// Opens the group; each extraction job takes a range of chunks.
fn open_where(
    cx: &JobContext,
    (id, revision, chunks): (&DocumentId, u64, u32),
    wanted: impl Fn(&ExtractEntities) -> bool,
) -> Result<(), JobError> {
    let per_job = chunks.div_ceil(EXTRACTION_JOBS).max(CHUNKS_PER_JOB);
    let extract = |first: u32| {
        let count = (chunks - first).min(per_job);
        ExtractEntities { document_id: id.clone(), revision, first, count }
    };
    let members: Vec<_> = (0..chunks).step_by(per_job as usize).map(extract).filter(wanted).collect();
    cx.open_group(&members, &BuildGraph { document_id: id.clone(), revision })
}
