//! `document.ingest`: turns an uploaded original into chunks, and enqueues the jobs that extract from them.

use bytes::Bytes;
use jobs::JobError;
use jobs::types::IngestDocument;
use stores::model::{Chunk, Derived, Document, DocumentStatus, Kb, ParsedDocument, Stage};
use worker::compute::{Stopped, Turn};
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use crate::registry::Product;
use crate::text;
use crate::text::{ChunkSize, ChunkSizeError, Chunker, ParseError, ParsedText};
use crate::tools::Tools;

/// How often a missing original is looked for. A rejected upload of the same content may have removed it, and the
/// accepted one stores it again.
const ORIGINAL_ATTEMPTS: u32 = 3;
/// Steps of reading: fetched, cut into chunks, stored, earlier results removed.
const STEPS: u64 = 4;
/// Part of a document that the Markdown parser holds as a tree at once; the next constant is the tree's size at
/// worst.
const TREE_SOURCE_BYTES: u64 = 128 * 1024;
const TREE_FACTOR: u64 = 256;

impl Handler<Product> for IngestDocument {
    #[tracing::instrument(name = "document.ingest", skip_all, fields(document.id = %self.document_id))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let Some((kb, document)) = document::current(cx, &self.document_id, self.revision).await? else {
            return Ok(());
        };
        // This job has done its part before. It is here again because its queue lost it, or came back from a snapshot.
        let is_ours = document.job_id == cx.job_id();
        if is_ours && document.status.is_in_graph() {
            tracing::info!("the document is in the graph already, nothing to do");
            return Ok(());
        }
        if is_ours && document.status == DocumentStatus::Processing {
            return document::extraction_open_rest(cx, &kb, &document, 0).await;
        }
        let report = |done| document::report(cx, &document, (Stage::Reading, 0), done, STEPS);
        report(0);
        // Held until everything is written.
        let _memory = cx.compute().reserve(memory_for(document.size_bytes)).await;
        let Some(original) = original(self, cx, &kb, &document).await? else {
            return Ok(());
        };
        report(1);
        let (parsed, chunks) = read(cx, &document, original).await?;
        report(2);
        let count = u32::try_from(chunks.len()).map_err(JobError::retry)?;

        let bytes = Derived::Text(document::text_bytes(&parsed.text, &chunks));
        if !document::count(cx, &kb, &document.id, self.revision, bytes).await? {
            return document::forget_if_deleted(cx, &kb, &document.id).await;
        }
        let documents = cx.stores().documents();
        let parsed = ParsedDocument { revision: self.revision, title: parsed.title, text: parsed.text };
        // Beside what is served, which `graph.build` replaces when all of it is made.
        documents.staged_put(&kb.id, &document.id, &parsed, &chunks).await?;
        report(3);
        // Extractions of another revision or by another extractor are not reused.
        documents.extractions_forget(&kb.id, &document.id, None).await?;
        report(STEPS);

        let catalog = cx.stores().catalog();
        let work = (cx.job_id(), count);
        if catalog.document_processing(&kb.id, &document.id, self.revision, work, cx.now()).await? {
            return document::extraction_open(cx, &document.id, self.revision, count);
        }
        document::forget_if_deleted(cx, &kb, &document.id).await
    }

    async fn discarded(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_failed(cx, &self.document_id, self.revision, code, reason).await
    }

    async fn refused(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_refused(cx, &self.document_id, self.revision, code, reason).await
    }
}

impl Reopen<Product> for IngestDocument {
    async fn reopen(&self, cx: &JobContext) -> Result<Reopened, JobError> {
        document::reopen(cx, &self.document_id, self.revision, DocumentStatus::Pending).await
    }
}

/// The original's bytes; `None` when the document was deleted meanwhile.
async fn original(
    ingest: &IngestDocument,
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
) -> Result<Option<Bytes>, JobError> {
    let original = cx.stores().blobs().original(&kb.id, &document.id, &document.sha256).await?;
    if original.is_none() && document::current(cx, &document.id, ingest.revision).await?.is_some() {
        if cx.attempt() < ORIGINAL_ATTEMPTS {
            return Err(JobError::retry("the uploaded original is not there"));
        }
        return Err(JobError::fail("original_missing", "the uploaded original is gone: upload it again"));
    }
    Ok(original)
}

/// A chunker with the tenant's chunk size.
async fn chunker(cx: &JobContext) -> Result<Chunker, JobError> {
    let settings = cx.stores().catalog().rag_settings().await?;
    let (settings, _) = settings.unwrap_or_default();
    let tokens = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let size = ChunkSize {
        tokens: tokens(settings.chunk_size_tokens),
        overlap: tokens(settings.chunk_overlap_tokens),
    };
    let unusable = |error: ChunkSizeError| JobError::fail("chunk_size_unusable", error.to_string());
    cx.state::<Tools>()?.chunker.sized(size).map_err(unusable)
}

/// Bytes of memory that a document needs until it is cut into chunks: the original, its text, and the text again in
/// chunks that overlap by half at most, with spare capacity; and a part of it as the parser's tree.
fn memory_for(size_bytes: u64) -> u64 {
    size_bytes.saturating_mul(8).saturating_add(size_bytes.min(TREE_SOURCE_BYTES) * TREE_FACTOR)
}

async fn read(
    cx: &JobContext,
    document: &Document,
    original: Bytes,
) -> Result<(ParsedText, Vec<Chunk>), JobError> {
    let chunker = chunker(cx).await?;
    let (media_type, name) = (document.media_type.clone(), document.name.clone());
    let work = move |turn: &Turn| parse_and_cut(&chunker, &media_type, &name, original, turn);
    let read = cx.compute().run(work).await.map_err(ParseError::from).flatten();
    read.map_err(|error| match error {
        ParseError::Stopped(Stopped::Cancelled) => JobError::Interrupted,
        // A bug in a parser, which the user cannot correct.
        ParseError::ParseFailed => JobError::fail(error.code(), error.to_string()),
        _ => JobError::unusable(error.code(), error.to_string()),
    })
}

fn parse_and_cut(
    chunker: &Chunker,
    media_type: &str,
    name: &str,
    original: Bytes,
    turn: &Turn,
) -> Result<(ParsedText, Vec<Chunk>), ParseError> {
    let parsed = text::parse(media_type, name, &original, turn)?;
    drop(original);
    let chunks = chunker.chunks(&parsed.text, turn)?;
    let chunk =
        |chunk: text::TextChunk| Chunk { order: chunk.order, tokens: chunk.tokens, content: chunk.content };
    Ok((parsed, chunks.into_iter().map(chunk).collect()))
}
