//! What a board shows of a storage: queues, workers, tasks, counts. All of it is read from Redis when it is asked for.
//!
//! Tasks that are done are counted and not kept, so that no list has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use apalis_core::backend::codec::Codec;
use apalis_core::backend::{
    FetchById, Filter, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics, QueueInfo, ResumeById,
    RunningWorker, StatType, Statistic,
};
use apalis_core::task::Task;
use apalis_core::task::task_id::TaskId;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::join_all;

use crate::answers::{JobState, Kept, KeptJob, QueueStats, Reason};
use crate::cancel::Redriven;
use crate::error::QueueError;
use crate::id::{JobId, PartitionId};
use crate::inspect::{KeptRecord, OpenJob, Select};
use crate::queue::{Queue, SkillStatus};
use crate::storage::record::{Described, job_id, states, status, task_of};
use crate::storage::running::own_name;
use crate::storage::{Storage, StorageError};

/// How many partitions are asked about at a time.
const AT_A_TIME: usize = 32;
/// Jobs in one step through a list.
const STEP: usize = 200;

impl<T, C> FetchById for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn fetch_by_id(&mut self, task_id: &TaskId) -> Result<Option<Task<Vec<u8>>>, StorageError> {
        let id = job_id(&self.config.queue, &task_id.to_string());
        let found = self.queue.find(id).await?.filter(|found| found.skill == self.config.skill().as_str());
        let Some(found) = found else { return Ok(None) };
        // It may have ended since.
        let Some(status) = self.queue.lookup(&found.partition, id).await? else { return Ok(None) };
        let described = Described {
            id,
            partition: &found.partition,
            queue: &self.config.queue,
            state: status.state,
            attempts: status.attempts,
            error: status.reason.as_ref().map(text),
            payload: &found.payload,
        };
        Ok(task_of(described, true).map(apalis_core::task::builder::TaskBuilder::build))
    }
}

/// Starts a dead letter, or a quarantined task, again with all its attempts.
impl<T, C> ResumeById for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn resume_by_id(&mut self, task_id: TaskId) -> Result<bool, StorageError> {
        let id = job_id(&self.config.queue, &task_id.to_string());
        let found = self.queue.find(id).await?.filter(|found| found.skill == self.config.skill().as_str());
        let Some(found) = found else { return Ok(false) };
        Ok(self.queue.redrive(&found.partition, id).await? == Redriven::Started)
    }
}

/// Tasks whose arguments the codec cannot decode are left out: a board that decodes them would show none at all.
impl<T, C> ListTasks for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn list_tasks(&self, filter: &Filter) -> Result<Vec<Task<Vec<u8>>>, StorageError> {
        let skill = self.config.skill();
        let read = |job: &Listed, partition: &PartitionId| {
            let task = task_of(job.described(partition, &self.config.queue), false)?.build();
            self.codec.decode(&task.args).is_ok().then_some(task)
        };
        Ok(Window::of(filter).filled(&self.queue, Some(skill.as_str()), filter, read).await?)
    }
}

/// The arguments of a job that is no task of a storage are its payload.
impl<T, C> ListAllTasks for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn list_all_tasks(&self, filter: &Filter) -> Result<Vec<Task<Vec<u8>>>, StorageError> {
        let skills = self.queue.skills().await?;
        let queues: HashMap<String, String> =
            skills.into_iter().map(|skill| (skill.skill, skill.queue)).collect();
        let read = |job: &Listed, partition: &PartitionId| {
            let queue = queues.get(&job.skill).unwrap_or(&job.skill);
            Some(task_of(job.described(partition, queue), true)?.build())
        };
        Ok(Window::of(filter).filled(&self.queue, None, filter, read).await?)
    }
}

impl<T, C> ListQueues for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn list_queues(&self) -> Result<Vec<QueueInfo>, StorageError> {
        let (skills, partitions) = (self.queue.skills().await?, self.queue.partitions().await?);
        let names: BTreeSet<&str> = skills.iter().map(|skill| skill.queue.as_str()).collect();
        let mut queues = Vec::with_capacity(names.len());
        for name in names {
            let counts = counts_of(&self.queue, name, &skills, &partitions).await?;
            let workers = workers_of(&self.queue, &skills, Some(name)).await?;
            queues.push(QueueInfo {
                name: name.to_owned(),
                stats: counts.statistics(),
                workers: workers.into_iter().map(|worker| worker.id).collect(),
                // The queue keeps no history of days.
                activity: Vec::new(),
            });
        }
        Ok(queues)
    }
}

/// Layers are not known to Redis, so that they are empty.
impl<T, C> ListWorkers for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn list_workers(&self) -> Result<Vec<RunningWorker>, StorageError> {
        let skills = self.queue.skills().await?;
        Ok(workers_of(&self.queue, &skills, Some(&self.config.queue)).await?)
    }

    async fn list_all_workers(&self) -> Result<Vec<RunningWorker>, StorageError> {
        let skills = self.queue.skills().await?;
        Ok(workers_of(&self.queue, &skills, None).await?)
    }
}

/// Counts by status, in the names that apalis-board knows. What is done is counted by partition, over all its queues,
/// so that a queue tells it only when it is the only one.
impl<T, C> Metrics for Storage<T, C>
where
    T: 'static,
    C: Codec<T, Compact = Vec<u8>> + Send + Sync + 'static,
    C::Error: std::fmt::Display,
{
    async fn global(&self) -> Result<Vec<Statistic>, StorageError> {
        let partitions = self.queue.partitions().await?;
        Ok(summed(&partitions, |partition| whole(&self.queue, partition)).await?.statistics())
    }

    async fn fetch_by_queue(&self) -> Result<Vec<Statistic>, StorageError> {
        let (skills, partitions) = (self.queue.skills().await?, self.queue.partitions().await?);
        Ok(counts_of(&self.queue, &self.config.queue, &skills, &partitions).await?.statistics())
    }
}

fn text(reason: &Reason) -> String {
    format!("{} {}", reason.code, reason.text).trim_end().to_owned()
}

/// A job on its way into a list of tasks.
#[derive(Debug)]
struct Listed {
    id: JobId,
    skill: String,
    state: JobState,
    attempts: u32,
    error: Option<String>,
    payload: Bytes,
}

impl Listed {
    fn described<'a>(&'a self, partition: &'a PartitionId, queue: &'a str) -> Described<'a> {
        Described {
            id: self.id,
            partition,
            queue,
            state: self.state,
            attempts: self.attempts,
            error: self.error.clone(),
            payload: &self.payload,
        }
    }
}

/// Jobs in some states, of one skill or all.
#[derive(Debug)]
struct Wanted<'a> {
    states: Vec<JobState>,
    skill: Option<&'a str>,
}

impl Wanted<'_> {
    fn has(&self, skill: &str) -> bool {
        self.skill.is_none_or(|wanted| wanted == skill)
    }
}

impl Select for Wanted<'_> {
    type Open = Listed;
    type Kept = Listed;

    fn states(&self) -> &[JobState] {
        &self.states
    }

    fn reason_code(&self) -> Option<&str> {
        None
    }

    fn reads_records(&self) -> bool {
        true
    }

    fn open(&self, _: &PartitionId, job: OpenJob<'_>) -> Option<Listed> {
        self.has(job.skill).then(|| Listed {
            id: job.id,
            skill: job.skill.to_owned(),
            state: job.state,
            attempts: job.attempts,
            error: None,
            payload: Bytes::copy_from_slice(job.payload),
        })
    }

    fn kept(&self, _: &PartitionId, job: KeptJob, record: Option<KeptRecord<'_>>) -> Option<Listed> {
        let record = record.filter(|record| self.has(record.skill))?;
        Some(Listed {
            id: job.id,
            skill: record.skill.to_owned(),
            // Which of the two a board cannot tell; the reason says it.
            state: JobState::Discarded,
            attempts: record.attempts,
            error: Some(text(&job.reason)),
            payload: Bytes::copy_from_slice(record.payload),
        })
    }
}

/// The page that a filter asks for: pages go by number, so that all before it is read.
struct Window {
    skip: usize,
    size: usize,
    tasks: Vec<Task<Vec<u8>>>,
}

impl Window {
    fn of(filter: &Filter) -> Self {
        let size = filter.limit() as usize;
        Self { skip: (filter.page.max(1) as usize - 1).saturating_mul(size), size, tasks: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.tasks.len() >= self.size
    }

    fn add(&mut self, task: Task<Vec<u8>>) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if !self.is_full() {
            self.tasks.push(task);
        }
    }

    /// By partition, and within one first what is open, then what is kept.
    async fn filled<F>(
        mut self,
        queue: &Queue,
        skill: Option<&str>,
        filter: &Filter,
        read: F,
    ) -> Result<Vec<Task<Vec<u8>>>, QueueError>
    where
        F: Fn(&Listed, &PartitionId) -> Option<Task<Vec<u8>>> + Send + Sync,
    {
        let (open, kept) = states(filter.status.as_ref());
        let (open, kept) = (Wanted { states: open, skill }, Wanted { states: kept, skill });
        for partition in queue.partitions().await? {
            let mut after = None;
            while !open.states.is_empty() && !self.is_full() {
                let page = queue.list(&partition, &open, after.as_ref(), STEP).await?;
                page.jobs.iter().filter_map(|job| read(job, &partition)).for_each(|task| self.add(task));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            for which in [Kept::Discarded, Kept::Quarantined] {
                let mut after = None;
                while !kept.states.is_empty() && !self.is_full() {
                    let page = queue.kept_page(&partition, which, &kept, after.as_ref(), STEP).await?;
                    page.jobs.iter().filter_map(|job| read(job, &partition)).for_each(|task| self.add(task));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
            }
            if self.is_full() {
                break;
            }
        }
        Ok(self.tasks)
    }
}

/// The live workers of the skills of `queue`, or of all.
async fn workers_of(
    queue: &Queue,
    skills: &[SkillStatus],
    name: Option<&str>,
) -> Result<Vec<RunningWorker>, QueueError> {
    let mut workers = BTreeMap::new();
    for skill in skills.iter().filter(|skill| name.is_none_or(|name| skill.queue == name)) {
        for seen in queue.workers(&skill.skill).await? {
            let (id, started_at) = own_name(&seen.name);
            workers.entry((skill.queue.clone(), id.clone())).or_insert(RunningWorker {
                id,
                queue: skill.queue.clone(),
                backend: "fair-queue".to_owned(),
                started_at,
                last_heartbeat: seconds(seen.at),
                layers: String::new(),
            });
        }
    }
    Ok(workers.into_values().collect())
}

fn seconds(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp()).unwrap_or(0)
}

/// Numbers of tasks by status.
#[derive(Debug, Default)]
struct Counts {
    pending: u64,
    running: u64,
    failed: u64,
    killed: u64,
    /// `None` where it is not known.
    done: Option<u64>,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.pending += other.pending;
        self.running += other.running;
        self.failed += other.failed;
        self.killed += other.killed;
        self.done = self.done.zip(other.done).map(|(one, other)| one + other);
    }

    fn statistics(&self) -> Vec<Statistic> {
        let Self { pending, running, failed, killed, done } = *self;
        let total = done.map(|done| pending + running + failed + killed + done);
        let numbers = [
            ("RUNNING_JOBS", Some(running)),
            ("PENDING_JOBS", Some(pending)),
            ("FAILED_JOBS", Some(failed)),
            ("KILLED_JOBS", Some(killed)),
            ("DONE_JOBS", done),
            ("TOTAL_JOBS", total),
        ];
        let statistic = |(priority, (title, number)): (u64, (&str, Option<u64>))| {
            let (title, value) = (title.to_owned(), number?.to_string());
            Some(Statistic { title, stat_type: StatType::Number, value, priority: Some(priority) })
        };
        (1..).zip(numbers).filter_map(statistic).collect()
    }
}

impl From<QueueStats> for Counts {
    fn from(stats: QueueStats) -> Self {
        Self {
            pending: stats.available + stats.scheduled + stats.parked,
            running: stats.active,
            failed: stats.retryable,
            killed: stats.discarded + stats.quarantined,
            done: Some(stats.completed_total),
        }
    }
}

/// Asks about every partition, and adds up.
async fn summed<'a, F>(
    partitions: &'a BTreeSet<PartitionId>,
    ask: impl Fn(&'a PartitionId) -> F,
) -> Result<Counts, QueueError>
where
    F: Future<Output = Result<Counts, QueueError>>,
{
    let partitions: Vec<_> = partitions.iter().collect();
    let mut sum = Counts { done: Some(0), ..Counts::default() };
    for some in partitions.chunks(AT_A_TIME) {
        for counts in join_all(some.iter().map(|partition| ask(partition))).await {
            sum.add(&counts?);
        }
    }
    Ok(sum)
}

/// The tasks of one queue: of everything there is, if it is the only one.
async fn counts_of(
    queue: &Queue,
    name: &str,
    skills: &[SkillStatus],
    partitions: &BTreeSet<PartitionId>,
) -> Result<Counts, QueueError> {
    if skills.iter().all(|skill| skill.queue == name) {
        return summed(partitions, |partition| whole(queue, partition)).await;
    }
    let own = skills.iter().filter(|skill| skill.queue == name).map(|skill| skill.skill.clone()).collect();
    summed(partitions, |partition| part(queue, partition, &own)).await
}

async fn whole(queue: &Queue, partition: &PartitionId) -> Result<Counts, QueueError> {
    queue.stats(partition).await.map(Counts::from)
}

async fn part(
    queue: &Queue,
    partition: &PartitionId,
    skills: &BTreeSet<String>,
) -> Result<Counts, QueueError> {
    use apalis_core::task::status::Status;
    let mut counts = Counts::default();
    for (state, count) in queue.count_in(partition, skills).await? {
        match status(state) {
            Status::Pending | Status::Queued => counts.pending += count,
            Status::Running => counts.running += count,
            Status::Failed => counts.failed += count,
            _ => counts.killed += count,
        }
    }
    Ok(counts)
}
