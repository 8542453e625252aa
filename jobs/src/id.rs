//! Ids of jobs, groups and documents, and serde for everything that is written as text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
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

/// Names one job for ever: a UUID version 7 (RFC 9562), so ids sort by creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A fresh id, created at `now`.
    #[must_use]
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self::from_parts(now, rand::random())
    }

    /// The id that everyone computes for the same `seed` and moment.
    ///
    /// Whoever makes the job again after a crash or beside another replica makes the same id, so the queue
    /// keeps one.
    #[must_use]
    pub fn derived(at: DateTime<Utc>, seed: &str) -> Self {
        let digest = sha2::Sha256::digest(seed.as_bytes());
        let mut tail = [0; 10];
        tail.copy_from_slice(&digest[..10]);
        Self::from_parts(at, tail)
    }

    /// When the job was made, as its id tells; `None` for an id that is not of version 7.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    fn from_parts(at: DateTime<Utc>, tail: [u8; 10]) -> Self {
        let ms = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(ms, &tail).into_uuid())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId::new("job id", "a UUID"))
    }
}

/// Names a group: a set of jobs with one continuation that starts when the last of them is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(JobId);

impl GroupId {
    /// The group that `parent` opens. A job opens at most one group, so a second run names the same one.
    #[must_use]
    pub fn of(parent: JobId) -> Self {
        Self(parent)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_ids_are_those_of_lightrag() {
        assert_eq!(DocumentId::of_name("curie.md").as_str(), "doc-8273fb29cbb3ee401f1b7b71aa4a5661");
        assert_eq!(
            DocumentId::of_name("curie.md").chunk_id(7),
            "doc-8273fb29cbb3ee401f1b7b71aa4a5661-chunk-007"
        );
    }

    #[test]
    fn a_derived_id_is_version_7_and_repeats() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let id = JobId::derived(at, "nightly|acme");
        assert_eq!(id, JobId::derived(at, "nightly|acme"));
        assert_ne!(id, JobId::derived(at, "nightly|acme2"));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.created_at(), Some(at));
        assert!(id.to_string().starts_with("018bcfe5-687b-7"));
    }

    #[test]
    fn a_document_id_is_not_any_text() {
        for bad in ["", "doc-", "doc-../../etc/passwd", "doc-8273FB29CBB3EE401F1B7B71AA4A5661"] {
            assert!(bad.parse::<DocumentId>().is_err(), "{bad}");
        }
    }
}
