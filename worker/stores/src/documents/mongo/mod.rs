//! MongoDB, or a server with its protocol: texts of documents, and what was extracted from them.
//!
//! All tenants share the collections. A [`TenantCollection`](TenantCollection) adds `tenant_id`
//! to every filter and every document. No transactions and no arrays inside arrays, so that `FerretDB` will
//! do.

mod collection;

use std::ops::Range;
use std::sync::Arc;

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use self::collection::TenantCollection;
use crate::deadline::{BULK, CALL, within};
use crate::error::StoreError;
use crate::model::{Chunk, Extraction, ParsedDocument};
use crate::ports::{Documents, StoreResult};
use crate::scoped::Scope;

pub(crate) use collection::Mongo;

/// Creates the documents port of one tenant.
pub(crate) struct MongoDocuments {
    mongo: Mongo,
}

impl MongoDocuments {
    pub(crate) fn new(mongo: Mongo) -> Self {
        Self { mongo }
    }
}

impl Scope<dyn Documents> for MongoDocuments {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Documents> {
        Arc::new(TenantDocuments { mongo: self.mongo.clone(), tenant: tenant.clone() })
    }
}

struct TenantDocuments {
    mongo: Mongo,
    tenant: TenantId,
}

impl TenantDocuments {
    fn parsed_texts(&self) -> Parsed {
        let collection = |name| self.mongo.tenant(name, &self.tenant);
        Parsed { heads: collection(PARSED), parts: collection(PARTS) }
    }

    fn staged(&self) -> Staged {
        Staged(self.mongo.tenant(STAGED, &self.tenant))
    }

    /// Deletes what matches a filter, from all collections.
    async fn forget(&self, operation: &'static str, filter: &Document) -> StoreResult<()> {
        for name in [PARSED, PARTS, EXTRACTIONS, STAGED] {
            let collection = self.mongo.tenant(name, &self.tenant);
            within(operation, BULK, collection.delete(operation, filter.clone())).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Documents for TenantDocuments {
    async fn provision(&self) -> StoreResult<()> {
        const PROVISION: &str = "documents.provision";
        let indexes: [(_, &[&str]); 4] = [
            (PARSED, &PARSED_INDEX),
            (PARTS, &PARSED_INDEX),
            (EXTRACTIONS, &EXTRACTIONS_INDEX),
            (STAGED, &STAGED_INDEX),
        ];
        for (name, fields) in indexes {
            let collection = self.mongo.tenant(name, &self.tenant);
            within(PROVISION, CALL, collection.provision(PROVISION, fields)).await?;
        }
        Ok(())
    }

    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
        within("documents.parsed_put", BULK, self.parsed_texts().put(kb, id, parsed)).await
    }

    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
        within("documents.parsed", BULK, self.parsed_texts().get(kb, id)).await
    }

    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        within("documents.parsed_forget", CALL, self.parsed_texts().forget(kb, id)).await
    }

    async fn staged_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        parsed: &ParsedDocument,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        within("documents.staged_put", BULK, self.staged().put((kb, id), parsed, chunks)).await
    }

    async fn staged_chunks(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<Chunk>> {
        within("documents.staged_chunks", BULK, self.staged().chunks((kb, id), revision, orders)).await
    }

    async fn staged_publish(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        const OPERATION: &str = "documents.staged_publish";
        let publish = async {
            let Some(text) = self.staged().text((kb, id), revision).await? else { return Ok(false) };
            let texts = self.parsed_texts();
            // Of a later revision there is a text already when the job of this one was slow.
            if texts.revision(kb, id).await?.is_some_and(|known| known > revision) {
                return Ok(false);
            }
            texts.put(kb, id, &text).await.map(|()| true)
        };
        within(OPERATION, BULK, publish).await
    }

    async fn staged_forget(&self, kb: &KbId, id: &DocumentId, last: Option<u64>) -> StoreResult<()> {
        within("documents.staged_forget", CALL, self.staged().forget((kb, id), last)).await
    }

    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        let put = extractions_put(&collection, kb, id, revision, extractions);
        within("documents.extractions_put", BULK, put).await
    }

    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        within("documents.extractions", BULK, extractions_of_revision(&collection, kb, id, revision, orders))
            .await
    }

    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        within("documents.extractions_forget", CALL, extractions_forget(&collection, kb, id, keep)).await
    }

    async fn chunks_forget(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: &[u32],
    ) -> StoreResult<()> {
        const OPERATION: &str = "documents.chunks_forget";
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        let orders: Vec<i64> = orders.iter().map(|order| i64::from(*order)).collect();
        let filter = doc! {
            "kb_id": kb.as_str(),
            "document_id": id.as_str(),
            "revision": wide(revision),
            "order": { "$in": orders },
        };
        within(OPERATION, BULK, collection.delete(OPERATION, filter)).await
    }

    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()> {
        self.forget("documents.kb_forget", &doc! { "kb_id": kb.as_str() }).await
    }

    async fn tenant_forget(&self) -> StoreResult<()> {
        self.forget("documents.tenant_forget", &doc! {}).await
    }
}

/// The name of the collection of heads.
const PARSED: &str = "parsed";
/// The name of the collection of parts.
const PARTS: &str = "parsed_parts";
/// Fields of the index of both, after the tenant.
const PARSED_INDEX: [&str; 2] = ["kb_id", "document_id"];

const PUT: &str = "documents.parsed_put";
const GET: &str = "documents.parsed";
const FORGET: &str = "documents.parsed_forget";
/// The longest piece of text in one document.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Parts per message, which is limited to 48 MB.
const PARTS_FETCHED: u32 = 8;
/// Attempts at reading a text that is being replaced meanwhile.
const ATTEMPTS: u32 = 5;

#[derive(Serialize, Deserialize)]
struct Head {
    kb_id: String,
    document_id: String,
    revision: i64,
    title: Option<String>,
    /// The text, unless it is in parts.
    text: String,
    /// Number of parts.
    parts: u32,
    /// Id of the put that wrote the parts.
    put: String,
}

#[derive(Serialize, Deserialize)]
struct Part {
    kb_id: String,
    document_id: String,
    revision: i64,
    put: String,
    place: u32,
    text: String,
}

/// The collections of one tenant.
struct Parsed {
    heads: TenantCollection,
    parts: TenantCollection,
}

impl Parsed {
    async fn put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
        let put = ObjectId::new().to_hex();
        let revision = wide(parsed.revision);
        let texts = cut(&parsed.text, PART_BYTES);
        let in_parts = texts.len() > 1;
        if in_parts {
            let part = |(place, text): (u32, &&str)| {
                let part = Part {
                    kb_id: kb.to_string(),
                    document_id: id.to_string(),
                    revision,
                    put: put.clone(),
                    place,
                    text: (*text).to_owned(),
                };
                (format!("{kb}/{id}/{put}/{place}"), part)
            };
            for part in (0..).zip(&texts).map(part) {
                self.parts.put_all(PUT, &[part]).await?;
            }
        }
        let head = Head {
            kb_id: kb.to_string(),
            document_id: id.to_string(),
            revision,
            title: parsed.title.clone(),
            text: if in_parts { String::new() } else { parsed.text.clone() },
            parts: if in_parts { u32::try_from(texts.len()).unwrap_or(u32::MAX) } else { 0 },
            put,
        };
        let before = self.heads.swap(PUT, &format!("{kb}/{id}"), &head).await?;
        self.parts_forget(&head, before).await
    }

    /// Removes the parts of the previous put, and those that puts of older revisions left behind when their process
    /// died.
    async fn parts_forget(&self, head: &Head, before: Option<Head>) -> StoreResult<()> {
        let before = before.filter(|before| before.parts > 0);
        if head.parts == 0 && before.is_none() {
            return Ok(());
        }
        let older = doc! {
            "kb_id": head.kb_id.as_str(),
            "document_id": head.document_id.as_str(),
            "revision": { "$lt": head.revision },
        };
        self.parts.delete(PUT, older).await?;
        match before {
            None => Ok(()),
            Some(before) => {
                let filter =
                    doc! { "kb_id": before.kb_id, "document_id": before.document_id, "put": before.put };
                self.parts.delete(PUT, filter).await
            }
        }
    }

    /// Deletes the head first, because it makes the text visible.
    async fn forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        let filter = doc! { "kb_id": kb.as_str(), "document_id": id.as_str() };
        self.heads.delete(FORGET, filter.clone()).await?;
        self.parts.delete(FORGET, filter).await
    }

    /// The revision of the text.
    async fn revision(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<u64>> {
        let head = self.heads.get::<Head>(GET, &format!("{kb}/{id}")).await?;
        Ok(head.map(|head| u64::try_from(head.revision).unwrap_or(0)))
    }

    async fn get(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
        for _ in 0..ATTEMPTS {
            let Some(head) = self.heads.get::<Head>(GET, &format!("{kb}/{id}")).await? else {
                return Ok(None);
            };
            let Some(text) = self.text(&head).await? else { continue };
            let revision = u64::try_from(head.revision).unwrap_or(0);
            return Ok(Some(ParsedDocument { revision, title: head.title, text }));
        }
        Err(StoreError::transient(GET, "the text is being replaced again and again"))
    }

    /// The text of a head; `None` when its parts are gone because a later put has removed them.
    async fn text(&self, head: &Head) -> StoreResult<Option<String>> {
        if head.parts == 0 {
            return Ok(Some(head.text.clone()));
        }
        let filter = doc! {
            "kb_id": head.kb_id.as_str(),
            "document_id": head.document_id.as_str(),
            "put": head.put.as_str(),
        };
        let parts: Vec<Part> = self.parts.find(GET, filter, "place", PARTS_FETCHED).await?;
        let complete = parts.len() == head.parts as usize;
        Ok(complete.then(|| parts.into_iter().map(|part| part.text).collect()))
    }
}

/// Cuts between characters into pieces of at most `size` bytes; one empty piece for an empty text.
fn cut(text: &str, size: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > size {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(size));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// The name of the collection of what is staged: pieces of texts, and chunks.
const STAGED: &str = "staged";
/// Fields of its index, after the tenant.
const STAGED_INDEX: [&str; 5] = ["kb_id", "document_id", "revision", "kind", "place"];
const STAGED_PUT: &str = "documents.staged_put";
/// Chunks per message.
const CHUNKS_FETCHED: u32 = 200;

/// A piece of a staged text, or a staged chunk.
#[derive(Serialize, Deserialize)]
struct StagedPart {
    kb_id: String,
    document_id: String,
    revision: i64,
    /// `text` or `chunk`.
    kind: String,
    /// Its place among those of its kind.
    place: u32,
    content: String,
    /// Of a chunk.
    tokens: u32,
    /// Of the first piece of a text.
    title: Option<String>,
}

/// What one tenant has staged.
struct Staged(TenantCollection);

impl Staged {
    async fn put(
        &self,
        of @ (kb, id): (&KbId, &DocumentId),
        parsed: &ParsedDocument,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        self.forget(of, Some(parsed.revision)).await?;
        let part = |kind: &str, place: u32, content: &str, tokens: u32| {
            let part = StagedPart {
                kb_id: kb.to_string(),
                document_id: id.to_string(),
                revision: wide(parsed.revision),
                kind: kind.to_owned(),
                place,
                content: content.to_owned(),
                tokens,
                title: parsed.title.clone().filter(|_| kind == "text" && place == 0),
            };
            (format!("{kb}/{id}/{}/{kind}/{place}", parsed.revision), part)
        };
        for (place, text) in (0..).zip(cut(&parsed.text, PART_BYTES)) {
            self.0.put_all(STAGED_PUT, &[part("text", place, text, 0)]).await?;
        }
        let chunks = chunks.iter().map(|chunk| part("chunk", chunk.order, &chunk.content, chunk.tokens));
        self.0.put_all(STAGED_PUT, &chunks.collect::<Vec<_>>()).await
    }

    async fn chunks(
        &self,
        of: (&KbId, &DocumentId),
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<Chunk>> {
        let mut filter = Self::filter(of, revision, "chunk");
        filter.insert("place", doc! { "$gte": i64::from(orders.start), "$lt": i64::from(orders.end) });
        let found = self.0.find::<StagedPart>("documents.staged_chunks", filter, "place", CHUNKS_FETCHED);
        let chunk =
            |part: StagedPart| Chunk { order: part.place, tokens: part.tokens, content: part.content };
        Ok(found.await?.into_iter().map(chunk).collect())
    }

    async fn text(&self, of: (&KbId, &DocumentId), revision: u64) -> StoreResult<Option<ParsedDocument>> {
        let filter = Self::filter(of, revision, "text");
        let found = self.0.find("documents.staged_publish", filter, "place", PARTS_FETCHED);
        let pieces: Vec<StagedPart> = found.await?;
        let Some(first) = pieces.first() else { return Ok(None) };
        let title = first.title.clone();
        let text = pieces.into_iter().map(|piece| piece.content).collect();
        Ok(Some(ParsedDocument { revision, title, text }))
    }

    async fn forget(&self, (kb, id): (&KbId, &DocumentId), last: Option<u64>) -> StoreResult<()> {
        let mut filter = doc! { "kb_id": kb.as_str(), "document_id": id.as_str() };
        if let Some(last) = last {
            filter.insert("revision", doc! { "$lte": wide(last) });
        }
        self.0.delete("documents.staged_forget", filter).await
    }

    fn filter((kb, id): (&KbId, &DocumentId), revision: u64, kind: &str) -> Document {
        doc! {
            "kb_id": kb.as_str(),
            "document_id": id.as_str(),
            "revision": wide(revision),
            "kind": kind,
        }
    }
}

/// The name of the collection.
const EXTRACTIONS: &str = "extractions";
/// Fields of its index, after the tenant.
const EXTRACTIONS_INDEX: [&str; 4] = ["kb_id", "document_id", "revision", "order"];

/// Extractions per message: each of one chunk, some kilobytes.
const FETCHED: u32 = 200;

#[derive(Serialize, Deserialize)]
struct Stored {
    kb_id: String,
    document_id: String,
    revision: i64,
    order: u32,
    extraction: Extraction,
}

async fn extractions_put(
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

async fn extractions_of_revision(
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

async fn extractions_forget(
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

fn wide(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("", 4), [""]);
        assert_eq!(cut("abcd", 4), ["abcd"]);
        assert_eq!(cut("abcé€x", 4), ["abc", "é", "€x"]);
    }
}
