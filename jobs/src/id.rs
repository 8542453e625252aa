//! Ids of jobs, groups, documents and batches, and serde for everything that is written as text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
pub use fair_queue::{GroupId, JobId};
use md5::Digest as _;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::tenant::InvalidId;

/// Writes a type by its `Display` and reads it by its `FromStr`.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("text")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

pub(crate) use serde_as_text;

/// Names a document inside its knowledge base: `doc-` and the MD5 of its name, as `LightRAG` does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(Arc<str>);

impl DocumentId {
    /// The id of the document called `name`. The same name is the same document.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self(format!("doc-{}", hex::encode(md5::Md5::digest(name.as_bytes()))).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of this document's chunk number `order`, counted from zero.
    #[must_use]
    pub fn chunk_id(&self, order: u32) -> String {
        format!("{}-chunk-{order:03}", self.0)
    }

    /// The number of the chunk called `chunk_id`, if it is one of this document.
    #[must_use]
    pub fn chunk_order(&self, chunk_id: &str) -> Option<u32> {
        chunk_id.strip_prefix(self.as_str())?.strip_prefix("-chunk-")?.parse().ok()
    }
}

impl FromStr for DocumentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let hash = text.strip_prefix("doc-").unwrap_or_default();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hash.len() == 32 && hash.bytes().all(hex) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new("document id", "`doc-` and 32 hexadecimal digits"))
        }
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a batch inside its tenant, what one request or one folder brought in: a UUID of version 7, so that ids are in
/// the order of their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(Uuid);

impl BatchId {
    /// A fresh id, created at `now`; `random` tells ids of the same millisecond apart.
    #[must_use]
    pub fn generate(now: DateTime<Utc>, random: [u8; 10]) -> Self {
        let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
    }

    /// When the id was made, as it says itself.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BatchId {
    type Err = InvalidId;

    /// Only the usual form, so that each batch has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 7 && id.to_string() == text);
        id.map(Self).ok_or(InvalidId::new("batch id", "a UUID of version 7 in lower case"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_id_says_when_it_was_made_and_has_one_spelling() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let id = BatchId::generate(now, [7; 10]);
        assert_eq!(id.created_at(), Some(now));
        assert_eq!(id.to_string().parse(), Ok(id));
        let version_4 = "2c1b7a52-3a55-4e0c-9a48-0f0f5a3a1111";
        for bad in ["", "x", version_4, &id.to_string().to_uppercase(), &format!("{{{id}}}")] {
            let problem = bad.parse::<BatchId>().unwrap_err().to_string();
            assert!(problem.contains("a UUID of version 7 in lower case"), "{bad}: {problem}");
        }
    }

    #[test]
    fn document_ids_are_those_of_lightrag() {
        assert_eq!(DocumentId::of_name("curie.md").as_str(), "doc-8273fb29cbb3ee401f1b7b71aa4a5661");
        assert_eq!(
            DocumentId::of_name("curie.md").chunk_id(7),
            "doc-8273fb29cbb3ee401f1b7b71aa4a5661-chunk-007"
        );
        let curie = DocumentId::of_name("curie.md");
        for order in [0, 7, 999, 1_000, u32::MAX] {
            assert_eq!(curie.chunk_order(&curie.chunk_id(order)), Some(order));
        }
        assert_eq!(curie.chunk_order(&DocumentId::of_name("b.md").chunk_id(7)), None);
    }

    #[test]
    fn a_document_id_is_not_any_text() {
        for bad in ["", "doc-", "doc-../../etc/passwd", "doc-8273FB29CBB3EE401F1B7B71AA4A5661"] {
            assert!(bad.parse::<DocumentId>().is_err(), "{bad}");
        }
    }
}
