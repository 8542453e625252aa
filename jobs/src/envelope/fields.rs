//! The job in the words of the Open Job Spec.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::policy::RetryPolicy;
use super::trace::TraceParent;
use super::unique::UniquePolicy;
use crate::id::{GroupId, JobId};

/// A job as the [Open Job Spec](https://openjobspec.org) 1.0 writes it. Says what to do; proves nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Version of the specification: `1.0`.
    pub specversion: String,
    /// The job's id.
    pub id: JobId,
    /// The job's type, such as `document.ingest`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The queue that the job waits in.
    pub queue: String,
    /// Positional arguments. Ours is always one object: the payload.
    pub args: Vec<Box<RawValue>>,
    /// What travels beside the arguments.
    pub meta: Meta,
    /// A higher number goes first; 0 is normal.
    pub priority: i32,
    /// How long one attempt may take, in seconds.
    pub timeout: u64,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Not after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it is tried again. Left out when it is the usual: a tenth of a typical envelope, which every job would
    /// carry through Redis.
    #[serde(default, skip_serializing_if = "RetryPolicy::is_usual")]
    pub retry: RetryPolicy,
    /// What it must not be enqueued beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniquePolicy>,
}

/// What travels beside a job's arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the payload; see [`crate::Job::VERSION`].
    pub version: u32,
    /// The trace that enqueued the job.
    pub traceparent: TraceParent,
    /// When the job was enqueued.
    pub created_at: DateTime<Utc>,
    /// The group that waits for this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The job that enqueued this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
}

impl Envelope {
    /// The version of the specification that we write and read.
    pub const SPECVERSION: &'static str = "1.0";

    /// The payload.
    ///
    /// # Errors
    /// When there is not exactly one argument, or it is not a `J`.
    pub fn payload<J: crate::Job>(&self) -> Result<J, serde_json::Error> {
        use serde::de::Error as _;
        match self.args.as_slice() {
            [only] => serde_json::from_str(only.get()),
            other => Err(serde_json::Error::custom(format!("expected one argument, found {}", other.len()))),
        }
    }
}
