//! Texts of documents. A MongoDB document holds 16 MiB and a text may be longer, so long texts are cut into
//! parts.
//!
//! Without transactions, what makes a put visible is one document: the head. Parts belong to one put and are
//! written before its head; a head that is replaced tells which parts nobody needs any more.

use jobs::DocumentId;
use jobs::tenant::KbId;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use super::collection::TenantCollection;
use super::extractions::wide;
use crate::error::StoreError;
use crate::model::ParsedDocument;
use crate::ports::StoreResult;

/// The name of the collection of heads.
pub(super) const PARSED: &str = "parsed";
/// The name of the collection of parts.
pub(super) const PARTS: &str = "parsed_parts";
/// What the indexes of both cover beside the tenant.
pub(super) const INDEX: [&str; 2] = ["kb_id", "document_id"];

const PUT: &str = "documents.parsed_put";
const GET: &str = "documents.parsed";
const FORGET: &str = "documents.parsed_forget";
/// The longest piece of text in one document.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Parts that come in one message, which may have 48 MB.
const PARTS_FETCHED: u32 = 8;
/// How often a text is read when it is being replaced meanwhile.
const ATTEMPTS: u32 = 5;

#[derive(Serialize, Deserialize)]
struct Head {
    kb_id: String,
    document_id: String,
    revision: i64,
    title: Option<String>,
    /// The text, unless it is in parts.
    text: String,
    /// How many parts there are.
    parts: u32,
    /// Which parts: those of this put.
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
pub(super) struct Parsed {
    pub(super) heads: TenantCollection,
    pub(super) parts: TenantCollection,
}

impl Parsed {
    pub(super) async fn put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
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

    /// Removes the parts of the put before this one, and what puts of older revisions left behind when they
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

    /// The head first, which is what makes the text visible.
    pub(super) async fn forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        let filter = doc! { "kb_id": kb.as_str(), "document_id": id.as_str() };
        self.heads.delete(FORGET, filter.clone()).await?;
        self.parts.delete(FORGET, filter).await
    }

    pub(super) async fn get(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
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

    /// The text of a head; `None` when its parts are gone because the next put is done with it.
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
