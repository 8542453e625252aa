//! What was extracted from chunks.

use std::ops::Range;

use jobs::DocumentId;
use jobs::tenant::KbId;
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use super::collection::TenantCollection;
use crate::model::Extraction;
use crate::ports::StoreResult;

/// The name of the collection.
pub(super) const EXTRACTIONS: &str = "extractions";
/// What its index covers beside the tenant.
pub(super) const INDEX: [&str; 4] = ["kb_id", "document_id", "revision", "order"];

/// Extractions that come in one message: of one chunk each, some kilobytes.
const FETCHED: u32 = 200;

#[derive(Serialize, Deserialize)]
struct Stored {
    kb_id: String,
    document_id: String,
    revision: i64,
    order: u32,
    extraction: Extraction,
}

pub(super) async fn put(
    collection: &TenantCollection,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
    extractions: &[(u32, Extraction)],
) -> StoreResult<()> {
    let stored = |(order, extraction): &(u32, Extraction)| {
        let stored = Stored {
            kb_id: kb.to_string(),
            document_id: id.to_string(),
            revision: wide(revision),
            order: *order,
            extraction: extraction.clone(),
        };
        (format!("{kb}/{id}/{revision}/{order}"), stored)
    };
    let values: Vec<_> = extractions.iter().map(stored).collect();
    collection.put_all("documents.extractions_put", &values).await
}

pub(super) async fn of_revision(
    collection: &TenantCollection,
    kb: &KbId,
    id: &DocumentId,
    revision: u64,
    orders: Range<u32>,
) -> StoreResult<Vec<(u32, Extraction)>> {
    let filter = doc! {
        "kb_id": kb.as_str(),
        "document_id": id.as_str(),
        "revision": wide(revision),
        "order": { "$gte": i64::from(orders.start), "$lt": i64::from(orders.end) },
    };
    let found: Vec<Stored> = collection.find("documents.extractions", filter, "order", FETCHED).await?;
    Ok(found.into_iter().map(|stored| (stored.order, stored.extraction)).collect())
}

pub(super) async fn forget(
    collection: &TenantCollection,
    kb: &KbId,
    id: &DocumentId,
    keep: Option<u64>,
) -> StoreResult<()> {
    let mut filter = doc! { "kb_id": kb.as_str(), "document_id": id.as_str() };
    if let Some(revision) = keep {
        filter.insert("revision", doc! { "$ne": wide(revision) });
    }
    collection.delete("documents.extractions_forget", filter).await
}

pub(super) fn wide(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
