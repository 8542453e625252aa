//! `graph.build`: from what the chunks say to the knowledge base's graph.

use jobs::plan::Quota;
use jobs::types::BuildGraph;
use jobs::{DocumentId, JobError};
use stores::model::{DocumentCounts, DocumentStatus, Extraction, Mention, MentionKind, OverQuota};

use super::document;
use crate::context::JobContext;
use crate::handler::Handler;

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
        let extractions = cx.stores().documents().extractions(&kb.id, &document.id, self.revision).await?;
        if extractions.len() != document.counts.chunks as usize {
            return match document::current(cx, &self.document_id, self.revision).await? {
                Some(_) => {
                    Err(JobError::fail("extractions_missing", "some chunks were never extracted: reindex"))
                }
                // It was deleted while they were counted.
                None => Ok(()),
            };
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
        match catalog.document(&kb.id, &document.id).await? {
            // A later revision was built while this one was being written: its graph has to have the last
            // word.
            Some(newer) if newer.status == DocumentStatus::Processed => {
                cx.enqueue(&Self { document_id: newer.id, revision: newer.revision }).map(drop)
            }
            Some(_) => Ok(()),
            None => document::forget_if_deleted(cx, &kb, &document.id).await,
        }
    }

    async fn discarded(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_failed(cx, &self.document_id, self.revision, code, reason).await
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
    JobError::fail(code, reason)
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
