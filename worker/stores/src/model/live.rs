//! What happens while it happens: progress of jobs, stages of documents, and events about both.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::{BatchId, DocumentId, JobId};
use serde::{Deserialize, Serialize};

use super::DocumentFault;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "JobProgress"))]
pub struct Progress {
    /// Steps that are done.
    pub done: u64,
    /// Steps that there are.
    pub total: u64,
    /// What is being done, in the handler's words.
    pub message: String,
    /// When the handler said so.
    pub at: DateTime<Utc>,
}

impl Progress {
    /// The longest message that is kept, in bytes.
    pub const MESSAGE_BYTES: usize = 200;
}

/// A step on a document's way into the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "StageName"))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Accepted; no worker has it yet.
    Waiting,
    /// Its text is read and cut into chunks.
    Reading,
    /// Entities and relations are extracted from its chunks.
    Extracting,
    /// What was extracted is merged into the graph.
    Building,
}

impl Stage {
    /// The name used in keys, events and HTTP answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Reading => "reading",
            Self::Extracting => "extracting",
            Self::Building => "building",
        }
    }
}

/// Where a document is, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DocumentStage {
    /// The step.
    pub name: Stage,
    /// How much of it is done: chunks where it extracts.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// A part of a document's stage that one job works on. A later report about the same part replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReport {
    /// The document.
    pub document: DocumentId,
    /// Its revision.
    pub revision: u64,
    /// The batch that brought it in.
    pub batch: Option<BatchId>,
    /// The step.
    pub stage: Stage,
    /// The number of the part: the first chunk of a range.
    pub part: u32,
}

/// What a handler reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressReport {
    /// The job.
    pub job: JobId,
    /// Its type.
    pub kind: String,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
    /// How far it is.
    pub progress: Progress,
    /// The document that it works on.
    pub stage: Option<StageReport>,
}

/// What kind of thing an [`Event`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A job began or ended.
    Job,
    /// A handler reported how far its job is.
    Progress,
    /// A document has another status.
    Document,
    /// Events are missing: read again what you follow.
    Reset,
}

impl EventKind {
    /// The name of the event in a stream.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Progress => "progress",
            Self::Document => "document",
            Self::Reset => "reset",
        }
    }
}

/// Something that happened in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Event {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The knowledge base that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kb_id: Option<KbId>,
    /// The job that began, ended or reports, or that ingests the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The type of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// The state of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Which attempt it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<DocumentId>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The batch that brought it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// Its status, or `deleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The step of the document that `done` and `total` are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Steps that are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Steps that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is being done, or why events are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<DocumentFault>,
}

impl Event {
    /// An event about nothing yet.
    #[must_use]
    pub const fn new(kind: EventKind, at: DateTime<Utc>) -> Self {
        Self {
            kind,
            at,
            kb_id: None,
            job_id: None,
            job_type: None,
            state: None,
            attempt: None,
            document_id: None,
            revision: None,
            batch_id: None,
            status: None,
            stage: None,
            done: None,
            total: None,
            message: None,
            error: None,
        }
    }

    /// Says to all listeners of the tenant that events are missing.
    #[must_use]
    pub fn reset(at: DateTime<Utc>, why: &str) -> Self {
        Self { message: Some(why.to_owned()), ..Self::new(EventKind::Reset, at) }
    }
}

/// The place of an event among those of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    ms: u64,
    number: u64,
}

impl EventId {
    /// Before every event.
    pub const FIRST: Self = Self { ms: 0, number: 0 };
}

/// A text that is not the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event: expected two numbers joined by -")]
pub struct InvalidEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number).ok_or(InvalidEventId)
        };
        let (ms, count) = text.split_once('-').ok_or(InvalidEventId)?;
        Ok(Self { ms: number(ms)?, number: number(count)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_ordered_as_numbers() {
        let id: EventId = "1800000000000-9".parse().unwrap();
        assert_eq!(id.to_string(), "1800000000000-9");
        assert!("1800000000000-10".parse::<EventId>().unwrap() > id);
        for bad in ["", "1", "-", "1-", "-1", "+1-1", "1-1-1", "x-1", "99999999999999999999-0"] {
            assert_eq!(bad.parse::<EventId>(), Err(InvalidEventId), "{bad}");
        }
    }

    #[test]
    fn an_event_is_written_without_what_it_is_not_about() {
        let event = Event::reset(DateTime::UNIX_EPOCH, "gone");
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"type":"reset","at":"1970-01-01T00:00:00Z","message":"gone"}"#);
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
