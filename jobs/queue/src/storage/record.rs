//! A task of apalis as a job of the queue, and back.
//!
//! A payload is a line of JSON with what the task says beside its arguments, `{}` for most, and then the arguments as
//! the codec writes them: `{"max_attempts":3}\n{"to":"ann"}`.

use std::collections::{BTreeMap, HashMap};

use apalis_core::backend::codec::Codec;
use apalis_core::backend::queue::Queue as QueueName;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::metadata::{Metadata, MetadataStore};
use apalis_core::task::status::Status;
use apalis_core::task::task_id::TaskId;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::answers::JobState;
use crate::id::{InvalidId, JobId, PartitionId};
use crate::job::{NewJob, Priority, Unique, UniqueScope};
use crate::storage::{Config, StorageError};

/// Where a task's metadata names its partition.
const PARTITION: &str = "partition";
/// Where the metadata of a task that failed says why.
const ERROR: &str = "error";

/// Arguments as JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonCodec;

impl<T: Serialize + DeserializeOwned> Codec<T> for JsonCodec {
    type Error = serde_json::Error;
    type Compact = Vec<u8>;

    fn encode(&self, args: &T) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(args)
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<T, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A task is pushed for a partition with `TaskBuilder::metadata`, and its handler takes a `Meta<PartitionId>`.
impl Metadata for PartitionId {
    type Error = InvalidId;

    fn extract(store: &MetadataStore) -> Result<Self, InvalidId> {
        store.get(PARTITION).unwrap_or_default().parse()
    }

    fn inject(&self, store: &mut MetadataStore) -> Result<(), InvalidId> {
        store.replace(PARTITION, self.as_str());
        Ok(())
    }
}

/// What a task says beside its arguments, as far as the queue has no place of its own for it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Header {
    /// Its id, if that is not a UUID as the queue's are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<usize>,
    /// In seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// The job that stands for a task that is pushed at `now`.
pub(super) fn job_of(
    task: Task<Vec<u8>>,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<NewJob, StorageError> {
    let (args, context) = task.take();
    let partition = match context.metadata().get(PARTITION) {
        Some(name) => name.parse().map_err(StorageError::Partition)?,
        None => config.partition.clone(),
    };
    let given = context.task_id().map(ToString::to_string);
    let id = given.as_deref().map_or_else(|| JobId::generate(now), |id| job_id(&config.queue, id));
    let metadata = context.metadata().iter().filter(|(name, _)| *name != PARTITION);
    let header = Header {
        id: given.filter(|given| *given != id.to_string()),
        metadata: metadata.map(|(name, value)| (name.clone(), value.clone())).collect(),
        max_attempts: context.max_attempts(),
        priority: context.priority(),
        run_at: context.run_at(),
        idempotency_key: context.idempotency_key().map(str::to_owned),
    };
    let mut payload = serde_json::to_vec(&header).map_err(StorageError::Metadata)?;
    payload.push(b'\n');
    payload.extend_from_slice(&args);
    let due = context.run_at().and_then(|seconds| DateTime::from_timestamp(seconds.try_into().ok()?, 0));
    let unique = context.idempotency_key().map(|key| Unique {
        key: format!("{}\n{key}", config.queue),
        scope: UniqueScope::Period(config.idempotency_ttl),
        on_conflict: crate::job::OnConflict::Keep,
    });
    let number = context.priority().map_or(0, |priority| i32::try_from(priority).unwrap_or(i32::MAX));
    Ok(NewJob {
        id,
        priority: Priority::from_number(number),
        due: due.filter(|due| *due > now),
        unique,
        ..NewJob::new(partition, config.skill(), payload, now)
    })
}

/// The queue's id of a task. Ids of apalis are any text, those of the queue are UUIDs: of another text it is always the
/// same one, so that an id that is pushed twice is one task here too.
pub(super) fn job_id(queue: &str, id: &str) -> JobId {
    id.parse().unwrap_or_else(|_| JobId::derived(DateTime::UNIX_EPOCH, &format!("{queue}\n{id}")))
}

/// What the queue tells about a job that stands for a task.
#[derive(Debug)]
pub(super) struct Described<'a> {
    pub(super) id: JobId,
    pub(super) partition: &'a PartitionId,
    pub(super) queue: &'a str,
    pub(super) state: JobState,
    pub(super) attempts: u32,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
    pub(super) payload: &'a [u8],
}

/// The task that a job stands for. The payload of a job that was not pushed as a task is taken for its arguments as a
/// whole when `lenient`; else `None`.
pub(super) fn task_of(job: Described<'_>, lenient: bool) -> Option<TaskBuilder<Vec<u8>>> {
    let (header, args) = match split(job.payload) {
        Some((header, args)) => (header, args),
        None if lenient => (Header::default(), job.payload),
        None => return None,
    };
    let mut metadata: HashMap<String, String> = header.metadata.into_iter().collect();
    metadata.insert(PARTITION.to_owned(), job.partition.to_string());
    metadata.extend(job.error.map(|error| (ERROR.to_owned(), error)));
    let id: Option<TaskId> = header.id.unwrap_or_else(|| job.id.to_string()).parse().ok();
    let mut task = TaskBuilder::new(args.to_vec())
        .with_metadata(MetadataStore::from_map(metadata))
        .task_id(id?)
        .queue(QueueName::from(job.queue))
        .attempt(job.attempts.try_into().unwrap_or(usize::MAX))
        .status(status(job.state));
    if let Some(max_attempts) = header.max_attempts {
        task = task.max_attempts(max_attempts);
    }
    if let Some(priority) = header.priority {
        task = task.priority(priority);
    }
    if let Some(run_at) = header.run_at {
        task = task.run_at_timestamp(run_at);
    }
    if let Some(key) = header.idempotency_key {
        task = task.idempotency_key(key);
    }
    Some(task)
}

fn split(payload: &[u8]) -> Option<(Header, &[u8])> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let (line, args) = (&payload[..end], &payload[end + 1..]);
    // An array would do for a struct all of whose fields have defaults.
    let header = line.starts_with(b"{").then(|| serde_json::from_slice(line).ok())??;
    Some((header, args))
}

/// A job's state in apalis' words. `Failed` is tried again, `Killed` is not.
pub(super) const fn status(state: JobState) -> Status {
    match state {
        JobState::Scheduled | JobState::Available | JobState::Parked => Status::Pending,
        JobState::Active => Status::Running,
        JobState::Retryable => Status::Failed,
        JobState::Completed => Status::Done,
        JobState::Cancelled | JobState::Discarded | JobState::Quarantined => Status::Killed,
    }
}

/// The states of the jobs that have `status`: those of open jobs, and those of jobs that are kept.
pub(super) fn states(status: Option<&Status>) -> (Vec<JobState>, Vec<JobState>) {
    let open =
        [JobState::Scheduled, JobState::Available, JobState::Parked, JobState::Active, JobState::Retryable];
    let kept = [JobState::Discarded, JobState::Quarantined];
    let wanted = |state: &JobState| status.is_none_or(|wanted| *wanted == self::status(*state));
    (open.into_iter().filter(wanted).collect(), kept.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn config() -> Config {
        Config::default().queue("mails")
    }

    fn described(job: &NewJob, state: JobState) -> Described<'_> {
        Described {
            id: job.id,
            partition: &job.partition,
            queue: "mails",
            state,
            attempts: 2,
            error: Some("the mailbox is full".to_owned()),
            payload: &job.payload,
        }
    }

    #[test]
    fn a_task_is_read_as_it_was_pushed() {
        let acme: PartitionId = "acme".parse().unwrap();
        let mut metadata = MetadataStore::new();
        metadata.insert("trace", "4bf9").unwrap();
        let pushed = TaskBuilder::new(b"two\nlines".to_vec())
            .with_metadata(metadata)
            .metadata(&acme)
            .task_id(TaskId::from_string("order-7"))
            .max_attempts(3)
            .priority(9)
            .idempotency_key("once")
            .run_at_timestamp(1_800_000_060);
        let job = job_of(pushed.build(), &config(), now()).unwrap();
        assert_eq!(
            (job.partition.as_str(), job.skill.as_str(), job.priority),
            ("acme", "mails@1", Priority::High)
        );
        assert_eq!(job.due, DateTime::from_timestamp(1_800_000_060, 0));
        assert_eq!(job.unique.as_ref().unwrap().scope, UniqueScope::Period(config().idempotency_ttl));

        let read = task_of(described(&job, JobState::Retryable), false).unwrap().build();
        assert_eq!(read.args, b"two\nlines");
        assert_eq!(read.task_id().unwrap().to_string(), "order-7");
        assert_eq!((read.max_attempts(), read.priority(), read.attempt()), (Some(3), Some(9), 2));
        assert_eq!((read.run_at(), read.idempotency_key()), (Some(1_800_000_060), Some("once")));
        assert_eq!(read.metadata().get("trace"), Some("4bf9"));
        assert_eq!(read.metadata().get("error"), Some("the mailbox is full"));
        assert_eq!(read.metadata().extract_as::<PartitionId>().unwrap(), acme);
        assert_eq!((read.status(), read.queue().unwrap().as_ref()), (Status::Failed, "mails"));
    }

    #[test]
    fn a_task_that_says_nothing_costs_three_bytes() {
        let job = job_of(Task::new(b"[]".to_vec()), &config(), now()).unwrap();
        assert_eq!(&job.payload[..], b"{}\n[]");
        assert_eq!((job.partition.as_str(), job.due, job.priority), ("default", None, Priority::Normal));
        let read = task_of(described(&job, JobState::Active), false).unwrap().build();
        assert_eq!(read.task_id().unwrap().to_string(), job.id.to_string());
    }

    #[test]
    fn an_id_that_is_pushed_twice_is_one_job_within_a_queue() {
        let uuid = JobId::generate(now());
        assert_eq!(job_id("mails", &uuid.to_string()), uuid);
        assert_eq!(job_id("mails", "7"), job_id("mails", "7"));
        assert_ne!(job_id("mails", "7"), job_id("letters", "7"));
    }

    #[test]
    fn what_cannot_name_a_partition_is_refused() {
        let mut metadata = MetadataStore::new();
        metadata.insert("partition", "Acme & Sons").unwrap();
        let task = TaskBuilder::new(Vec::new()).with_metadata(metadata).build();
        let error = job_of(task, &config(), now()).unwrap_err();
        assert!(matches!(error, StorageError::Partition(_)), "{error}");
    }

    #[test]
    fn a_payload_of_another_program_is_no_task() {
        let mut job = job_of(Task::new(b"{}".to_vec()), &config(), now()).unwrap();
        for payload in [&b"{\"stamp\":1}"[..], b"", b"[]\n{}"] {
            job.payload = payload.to_vec().into();
            assert!(task_of(described(&job, JobState::Active), false).is_none(), "{payload:?}");
            let read = task_of(described(&job, JobState::Active), true).unwrap().build();
            assert_eq!(read.args, payload);
        }
    }

    #[test]
    fn every_state_is_listed_under_its_status() {
        let (open, kept) = states(None);
        assert_eq!((open.len(), kept.len()), (5, 2));
        assert_eq!(states(Some(&Status::Failed)), (vec![JobState::Retryable], Vec::new()));
        assert_eq!(states(Some(&Status::Killed)), (Vec::new(), kept));
        assert_eq!(states(Some(&Status::Done)), (Vec::new(), Vec::new()));
    }
}
