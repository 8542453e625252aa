//! The events that an endpoint can be told of, and the body that it gets.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::{EventId, WebhookId};
use crate::id::{DocumentId, JobId, serde_as_text};
use crate::tenant::{InvalidId, KbId, TenantId};

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal;)+) => {
        /// What happened. A name never changes its meaning; new ones may be added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $($(#[doc = $doc])+ $variant),+
        }

        impl EventType {
            /// Every type there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that endpoints ask for and get.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

event_types! {
    /// A document is in the graph.
    DocumentProcessed = "document.processed";
    /// A document could not be processed, or its job was cancelled.
    DocumentFailed = "document.failed";
    /// A document was removed from every store.
    DocumentDeleted = "document.deleted";
    /// A job completed.
    JobCompleted = "job.completed";
    /// A job was given up: it is a dead letter.
    JobFailed = "job.failed";
    /// A job was cancelled, while it waited or while it ran.
    JobCancelled = "job.cancelled";
    /// A user tried the endpoint. Sent to it whatever it asked for.
    Test = "webhook.test";
}

impl EventType {
    /// The types that an endpoint can ask for: all but the test, which needs no asking.
    pub fn offered() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|kind| *kind != Self::Test)
    }

    /// The type of the event that a job ended in `state`, as job records name it.
    #[must_use]
    pub fn of_job_end(state: &str) -> Option<Self> {
        match state {
            "completed" => Some(Self::JobCompleted),
            "discarded" => Some(Self::JobFailed),
            "cancelled" => Some(Self::JobCancelled),
            _ => None,
        }
    }
}

impl FromStr for EventType {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or(InvalidId::new("event type", "one such as document.processed"))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

serde_as_text!(EventType);

/// An event of a tenant, for one of its endpoints. Holds ids and states, never a name or a text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every endpoint and every attempt.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// When.
    pub at: DateTime<Utc>,
    /// In which knowledge base.
    pub kb_id: Option<KbId>,
    /// To which document.
    pub document_id: Option<DocumentId>,
    /// To which revision of it.
    pub revision: Option<u64>,
    /// By which job, or to which job.
    pub job_id: Option<JobId>,
    /// The type of that job, where the event is about a job.
    pub job_type: Option<String>,
    /// The state that it ended in.
    pub status: Option<String>,
    /// Why it failed: a stable code.
    pub error_code: Option<String>,
}

impl Event {
    /// The body that `webhook` of `tenant` gets: the same bytes for each attempt.
    ///
    /// # Errors
    /// Never in practice: it is made of plain texts and numbers.
    pub fn body(&self, tenant: &TenantId, webhook: &WebhookId) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Body {
            kind: self.kind,
            timestamp: self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            data: Data {
                tenant_id: tenant,
                webhook_id: (self.kind == EventType::Test).then_some(webhook),
                kb_id: self.kb_id.as_ref(),
                document_id: self.document_id.as_ref(),
                revision: self.revision,
                job_id: self.job_id,
                job_type: self.job_type.as_deref(),
                status: self.status.as_deref(),
                error_code: self.error_code.as_deref(),
            },
        })
    }
}

/// As Standard Webhooks recommends: type, timestamp, data.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: EventType,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    tenant_id: &'a TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<&'a WebhookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kb_id: Option<&'a KbId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<&'a DocumentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_fit_into_a_list() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            // They are found in a text with spaces between them, by `like`.
            assert!(kind.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'), "{kind}");
        }
        assert!("document.*".parse::<EventType>().is_err());
        assert!(!EventType::offered().any(|kind| kind == EventType::Test));
    }

    #[test]
    fn a_body_says_what_happened_and_nothing_else() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = Event {
            id: EventId::generate(at),
            kind: EventType::DocumentFailed,
            at,
            kb_id: Some("default".parse().unwrap()),
            document_id: Some(DocumentId::of_name("plan.md")),
            revision: Some(2),
            job_id: None,
            job_type: None,
            status: Some("failed".into()),
            error_code: Some("not_utf8".into()),
        };
        let body = event.body(&"acme".parse().unwrap(), &WebhookId::generate()).unwrap();
        assert_eq!(
            body,
            format!(
                r#"{{"type":"document.failed","timestamp":"2023-11-14T22:13:20.000000Z","data":{{"tenant_id":"acme","kb_id":"default","document_id":"{}","revision":2,"status":"failed","error_code":"not_utf8"}}}}"#,
                DocumentId::of_name("plan.md")
            )
        );
    }
}
