//! Ids of partitions, jobs and groups.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uuid::{Builder, Uuid};

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: expected {expected}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
}

impl InvalidId {
    /// The error of a text that is not a `what`, because it is not `expected`.
    #[must_use]
    pub const fn new(what: &'static str, expected: &'static str) -> Self {
        Self { what, expected }
    }
}

/// Names a partition: jobs of one are served in turn with those of the others. In a product with many customers, one
/// of them.
///
/// Names go into keys and lines of text, so they are DNS labels (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, neither
/// first nor last a `-`.
///
/// ```
/// use fair_queue::PartitionId;
/// assert!("acme".parse::<PartitionId>().is_ok());
/// assert!("acme:2".parse::<PartitionId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(Arc<str>);

impl PartitionId {
    /// The rule for names, in words.
    pub const EXPECTED: &'static str = "1 to 63 of a-z, 0-9 and -, neither first nor last a -";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` can be a name.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-')
    }
}

impl FromStr for PartitionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let valid = Self::is_valid(text).then(|| Self(text.into()));
        valid.ok_or(InvalidId::new("partition", Self::EXPECTED))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

    /// A deterministic id: every caller gets the same one for the same `seed` and moment.
    ///
    /// A program that makes the job again after a crash, or beside another replica, makes the same id, so the queue
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

    /// The id of the job that continues when the group which this job opens is done, for programs that look for it:
    /// everything that a job leaves can be found from its id.
    #[must_use]
    pub fn continuation(&self) -> Self {
        Self::derived(self.created_at().unwrap_or_default(), &format!("the continuation of {self}"))
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

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for JobId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JobId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Names a job: a UUID, of version 7 where we made it.",
            "format": "uuid",
            "examples": ["0190b5a8-7c00-7000-8000-000000000000"],
        })
    }
}

/// Names a group: a set of jobs with one continuation that starts when the last of them is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(JobId);

impl GroupId {
    /// The group that `parent` opens. A job opens at most one group, so a second run names the same one.
    #[must_use]
    pub const fn of(parent: JobId) -> Self {
        Self(parent)
    }

    /// The group of one job that the next in a chain waits for. Another one than the job itself may open.
    #[must_use]
    pub fn after(job: JobId) -> Self {
        let at = job.created_at().unwrap_or_default();
        Self(JobId::derived(at, &format!("the link after {job}")))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_smuggle_separators() {
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a:b", "a/b", "a\nb", "a.b", "a b", "é", long.as_str()] {
            assert!(bad.parse::<PartitionId>().is_err(), "{bad:?}");
        }
        for good in ["a", "acme", "acme-2", "0", &"a".repeat(63)] {
            assert_eq!(good.parse::<PartitionId>().unwrap().as_str(), good);
        }
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
}
