//! `graph.build`: from what the chunks say to the knowledge base's graph.

use jobs::plan::Quota;
use jobs::types::BuildGraph;
use jobs::{DocumentId, JobError};
use stores::model::{
    Derived, Document, DocumentCounts, DocumentStatus, Extraction, Kb, Mention, MentionKind, OverQuota,
};

use super::{document, extraction};
use crate::context::JobContext;
use crate::handler::{Handler, Reopen, Reopened};

impl Handler for BuildGraph {
    #[tracing::instrument(name = "graph.build", skip_all, fields(document.id = %self.document_id))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let Some((kb, document)) = document::current(cx, &self.document_id, self.revision).await? else {
            return Ok(());
        };
        if document.status == DocumentStatus::Failed {
            tracing::info!("the document failed before, its graph is not built");
            return Ok(());
        }
        // One that is in the graph is built once more where another revision was written meanwhile.
        if !document::works_on(cx, &document) && document.status != DocumentStatus::Processed {
            tracing::info!("another job works on the document now, nothing to do");
            return Ok(());
        }
        let Some(extractions) = extractions(cx, &kb, &document).await? else { return Ok(()) };
        let bytes = Derived::Graph(document::graph_bytes(&extractions));
        match document::count(cx, &kb, &document.id, self.revision, bytes).await {
            Ok(true) => {}
            Ok(false) => return overtaken(cx, &kb, &document.id).await,
            Err(error) => {
                // They are stored already, and are not counted.
                if matches!(error, JobError::Fail { .. }) {
                    let documents = cx.stores().documents();
                    documents.extractions_forget(&kb.id, &document.id, None).await?;
                }
                return Err(error);
            }
        }
        let mentions = mentions(&document.id, &extractions);
        let (index, limits) = (cx.stores().index(), cx.limits().await?);
        let replaced =
            index.graph_replace_within(&kb, &document.id, &document.name, &mentions, &limits).await?;
        let delta = replaced.map_err(|over| too_much(&over))?;

        let counts = DocumentCounts {
            chunks: document.counts.chunks,
            entities: delta.entities,
            relations: delta.relations,
        };
        let catalog = cx.stores().catalog();
        if catalog.document_processed(&kb.id, &document.id, self.revision, counts, cx.now()).await? {
            cx.stores().blobs().originals_forget(&kb.id, &document.id, Some(&document.sha256)).await?;
            return Ok(());
        }
        overtaken(cx, &kb, &document.id).await
    }

    async fn discarded(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        let (id, revision) = (&self.document_id, self.revision);
        let found = cx.stores().catalog().document(cx.kb_id()?, id).await?;
        if found.is_some_and(|document| document.status == DocumentStatus::Processed) {
            // What an earlier revision said may stand in the graph still.
            return document::fail(cx, id, revision, code, reason).await;
        }
        document::mark_failed(cx, id, revision, code, reason).await
    }

    async fn refused(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_refused(cx, &self.document_id, self.revision, code, reason).await
    }
}

impl Reopen for BuildGraph {
    async fn reopen(&self, cx: &JobContext) -> Result<Reopened, JobError> {
        document::reopen(cx, &self.document_id, self.revision, DocumentStatus::Processing).await
    }
}

/// What was extracted from each chunk; `None` when that is not known of all, and there is nothing to build: the document
/// was deleted while they were counted, or what is missing is extracted first.
async fn extractions(
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
) -> Result<Option<Vec<(u32, Extraction)>>, JobError> {
    let found = cx.stores().documents().extractions(&kb.id, &document.id, document.revision).await?;
    if found.len() == document.counts.chunks as usize {
        return Ok(Some(found));
    }
    if document.job_id == cx.job_id() {
        extraction::open_rest(cx, kb, document).await?;
        return Ok(None);
    }
    if document::current(cx, &document.id, document.revision).await?.is_some() {
        return Err(JobError::fail("extractions_missing", "some chunks were never extracted: reindex"));
    }
    Ok(None)
}

/// While a graph was being written, the document was uploaded again, or deleted.
async fn overtaken(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    match cx.stores().catalog().document(&kb.id, id).await? {
        // The later revision was built meanwhile: its graph has to have the last word.
        Some(newer) if newer.status == DocumentStatus::Processed => {
            cx.enqueue(&BuildGraph { document_id: newer.id, revision: newer.revision }).map(drop)
        }
        Some(_) => Ok(()),
        None => document::forget_if_deleted(cx, kb, id).await,
    }
}

fn too_much(over: &OverQuota) -> JobError {
    let OverQuota { quota, current, maximum } = over;
    let code =
        if *quota == Quota::EntitiesPerKb { "entities_limit_reached" } else { "relations_limit_reached" };
    let reason = format!(
        "the knowledge base has {current} of {maximum} {} and the document adds more: \
         delete documents or ask the operator for more, and then reindex",
        quota.unit()
    );
    JobError::unusable(code, reason)
}

/// One mention for each thing that each chunk says.
fn mentions(document: &DocumentId, extractions: &[(u32, Extraction)]) -> Vec<Mention> {
    extractions
        .iter()
        .flat_map(|(order, extraction)| of_chunk(&document.chunk_id(*order), extraction))
        .collect()
}

fn of_chunk(chunk_id: &str, extraction: &Extraction) -> Vec<Mention> {
    let mention = |kind, description: &str| Mention {
        kind,
        chunk_id: chunk_id.to_owned(),
        description: description.to_owned(),
    };
    let entities = extraction.entities.iter().map(|entity| {
        let kind = MentionKind::Entity { name: entity.name.clone(), entity_type: entity.kind.clone() };
        mention(kind, &entity.description)
    });
    let relations = extraction.relations.iter().map(|relation| {
        let (source, target) = sorted(&relation.source, &relation.target);
        let kind = MentionKind::Relation {
            source,
            target,
            keywords: relation.keywords.clone(),
            weight: relation.weight,
        };
        mention(kind, &relation.description)
    });
    entities.chain(relations).collect()
}

fn sorted(one: &str, other: &str) -> (String, String) {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    (first.to_owned(), second.to_owned())
}
