//! The public queue: connecting, calling its Redis functions, and workers' heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::future::{join_all, select_ok};
use redis::{Cmd, FromRedisValue, ToRedisArgs};

use crate::answers::{JobStatus, QueueStats};
use crate::coalesce::PushLines;
use crate::config::QueueConfig;
use crate::error::QueueError;
use crate::id::JobId;
use crate::id::PartitionId;
use crate::job::Skill;
use crate::preflight::MemoryWatch;
use crate::redis::{RedisAddress, Resend, Servers};
use crate::script::{Library, Operation};
use crate::shards::{Shards, check_layout, explained};
use crate::{answers, preflight};

/// How often one call reloads the function library. Another client may flush it in between.
const LOADS: usize = 3;

/// The queue on Redis. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: QueueConfig,
    servers: Servers,
    shards: Shards,
    library: Library,
    push_lines: PushLines,
    memory_watch: MemoryWatch,
}

impl Queue {
    /// Connects and checks that this Redis does not lose jobs.
    ///
    /// # Errors
    /// When Redis cannot be reached, is older than 7.0, or may evict keys (`maxmemory-policy` other than
    /// `noeviction`), or when the queue has another number of shards.
    pub async fn connect(config: QueueConfig) -> Result<Self, QueueError> {
        Self::connect_with(config, Library::for_shards).await
    }

    pub(super) async fn connect_with(
        config: QueueConfig,
        library: impl FnOnce(u16) -> Library,
    ) -> Result<Self, QueueError> {
        let library = library(config.shards.max(1));
        let queue = Self::open(config, library).await?;
        check_layout(queue.servers(), queue.layout()).await?;
        Ok(queue)
    }

    /// Connects without checking the number of shards.
    pub(super) async fn open(mut config: QueueConfig, library: Library) -> Result<Self, QueueError> {
        config.lease = config.lease.max(QueueConfig::SHORTEST_LEASE);
        config.shards = config.shards.max(1);
        let address = RedisAddress::parse(&config.url)?;
        let shards = Shards::new(&config.prefix, config.shards, config.wording);
        let servers = Servers::new(&address, shards.slots(), config.call_deadline)?;
        let (push_lines, memory_watch) = (PushLines::new(config.shards), MemoryWatch::default());
        let queue =
            Self { inner: Arc::new(Inner { config, servers, shards, library, push_lines, memory_watch }) };
        queue.ping_shard(0).await?;
        for shard in queue.shards().filter(|&shard| queue.servers().together_with(shard)[0] == shard) {
            preflight::check(queue.servers(), shard).await?;
            queue.load_library(shard).await?;
        }
        Ok(queue)
    }

    /// Where a job is. `None` when the partition has no such job, or it was finished too long ago to be
    /// remembered.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn lookup(&self, partition: &PartitionId, id: JobId) -> Result<Option<JobStatus>, QueueError> {
        let arguments = vec![partition.as_str().into(), id.to_string(), LIVE_MS.to_string()];
        let answer: Vec<redis::Value> = self.call_for(partition, Operation::Lookup, arguments).await?;
        answers::status(id, &answer)
    }

    /// The job of the partition that has a unique key, so that a job with the same key would conflict with it. `None`
    /// when the key is free.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn unique_holder(
        &self,
        partition: &PartitionId,
        key: &str,
    ) -> Result<Option<JobId>, QueueError> {
        let arguments = vec![partition.as_str().into(), key.to_owned()];
        let holder: String = self.call_for(partition, Operation::Holder, arguments).await?;
        if holder.is_empty() {
            return Ok(None);
        }
        holder.parse().map(Some).map_err(|_| QueueError::Answer("holder"))
    }

    /// The number of the partition's jobs by state.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn stats(&self, partition: &PartitionId) -> Result<QueueStats, QueueError> {
        let arguments = vec![partition.as_str().into(), LIVE_MS.to_string()];
        let (counts, undeclared): (_, Vec<String>) =
            self.call_for(partition, Operation::Stats, arguments).await?;
        answers::stats(counts, &undeclared)
    }

    /// Asks Redis for a sign of life: the servers of all shards.
    ///
    /// # Errors
    /// When one gives none within the deadline.
    pub async fn ping(&self) -> Result<(), QueueError> {
        join_all(self.shards().map(|shard| self.ping_shard(shard))).await.into_iter().collect()
    }

    pub(super) async fn ping_shard(&self, shard: u16) -> Result<(), QueueError> {
        self.inner.servers.query::<()>(shard, &redis::cmd("PING"), Resend::Safe).await
    }

    /// Asks for a sign of life of any shard.
    pub(super) async fn ping_any(&self) -> Result<(), QueueError> {
        let pings = self.shards().map(|shard| Box::pin(self.ping_shard(shard)));
        select_ok(pings).await.map(drop)
    }

    /// The settings this queue was connected with.
    #[must_use]
    pub fn config(&self) -> &QueueConfig {
        &self.inner.config
    }

    /// The numbers of the shards.
    #[must_use]
    pub fn shards(&self) -> Range<u16> {
        0..self.inner.shards.count()
    }

    /// The shard with all keys of `partition`.
    #[must_use]
    pub fn home(&self, partition: &PartitionId) -> u16 {
        self.inner.shards.home(partition.as_str())
    }

    pub(super) fn layout(&self) -> &Shards {
        &self.inner.shards
    }

    pub(super) fn push_lines(&self) -> &PushLines {
        &self.inner.push_lines
    }

    pub(super) fn memory_watch(&self) -> &MemoryWatch {
        &self.inner.memory_watch
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.inner.servers
    }

    /// The key of `shard` called `name`.
    pub(super) fn key(&self, shard: u16, name: &str) -> String {
        format!("{}:{name}", self.inner.shards.prefix(shard))
    }

    /// Calls a function on one partition's state whose first argument is the time. The function must be idempotent,
    /// because the call may be resent.
    pub(super) async fn call_for<T: FromRedisValue>(
        &self,
        partition: &PartitionId,
        operation: Operation,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        let mut arguments = arguments;
        arguments.insert(0, self.now());
        self.call_mending(partition, operation, arguments).await
    }

    /// Calls a read-only function on one partition's state that does not take the time.
    pub(super) async fn read_for<T: FromRedisValue>(
        &self,
        partition: &PartitionId,
        operation: Operation,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        self.call_mending(partition, operation, arguments).await
    }

    /// A read-only function cannot delete a key that has the wrong type. When it meets one, a writing function repairs
    /// the partition and the read is repeated.
    async fn call_mending<T: FromRedisValue>(
        &self,
        partition: &PartitionId,
        operation: Operation,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        let shard = self.home(partition);
        match self.call_as_is(shard, operation, Resend::Safe, arguments.clone()).await {
            Err(QueueError::Redis(error)) if error.code() == Some("WRONGTYPE") => {
                let name = partition.as_str().as_bytes().to_vec();
                self.report(&self.heal_with(shard, "0", 1, &[name]).await?);
                self.call_as_is(shard, operation, Resend::Safe, arguments).await
            }
            answer => answer,
        }
    }

    /// The time, for a function; empty for that of Redis.
    pub(super) fn now(&self) -> String {
        self.inner.config.clock.as_ref().map_or_else(String::new, |clock| clock.now_ms().to_string())
    }

    /// Calls a function whose first argument is the time.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        shard: u16,
        operation: Operation,
        resend: Resend,
        mut arguments: Vec<impl ToRedisArgs + From<String>>,
    ) -> Result<T, QueueError> {
        arguments.insert(0, self.now().into());
        self.call_as_is(shard, operation, resend, arguments).await
    }

    /// The same call to every shard at once. The first error comes when all are done.
    pub(super) async fn call_all<T: FromRedisValue>(
        &self,
        operation: Operation,
        arguments: &[String],
    ) -> Result<Vec<T>, QueueError> {
        let calls = self.shards().map(|shard| self.call(shard, operation, Resend::Safe, arguments.to_vec()));
        join_all(calls).await.into_iter().collect()
    }

    /// A Redis that restarted, failed over or was flushed has lost the library: it is loaded when it is
    /// missed.
    pub(super) async fn call_as_is<T: FromRedisValue>(
        &self,
        shard: u16,
        operation: Operation,
        resend: Resend,
        arguments: Vec<impl ToRedisArgs>,
    ) -> Result<T, QueueError> {
        let mut command = Cmd::new();
        let name = self.inner.library.name(operation);
        command.arg("FCALL").arg(name).arg(1).arg(self.inner.shards.prefix(shard)).arg(&arguments);
        let mut loads = LOADS;
        loop {
            match self.inner.servers.query(shard, &command, resend).await {
                Err(QueueError::Redis(error)) if is_unknown_function(&error) && loads > 0 => {
                    loads -= 1;
                    self.load_library(shard).await?;
                }
                answer => {
                    return answer.map_err(|error| explained(error, &self.inner.shards));
                }
            }
        }
    }

    async fn load_library(&self, shard: u16) -> Result<(), QueueError> {
        let mut command = redis::cmd("FUNCTION");
        command.arg("LOAD").arg(&self.inner.library.text);
        match self.inner.servers.query::<()>(shard, &command, Resend::Safe).await {
            Err(QueueError::Redis(error)) if is_loaded_already(&error) => Ok(()),
            loaded => loaded,
        }
    }
}

fn is_unknown_function(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}

fn is_loaded_already(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// Milliseconds since 1970, as Redis prints them.
pub(super) fn moment(text: &str) -> Result<DateTime<chrono::Utc>, QueueError> {
    text.parse().ok().and_then(DateTime::from_timestamp_millis).ok_or(QueueError::Answer("a time"))
}

/// A worker that was silent for this long does not count.
pub(super) const LIVE_MS: u64 = 15_000;

impl Queue {
    /// Says in every shard that `worker` serves `skills`, or, without `stay`, that it does no more.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn heartbeat(&self, worker: &str, skills: &[Skill], stay: bool) -> Result<(), QueueError> {
        let mut arguments = vec![worker.to_owned(), LIVE_MS.to_string(), u8::from(stay).to_string()];
        arguments.extend(skills.iter().flat_map(|skill| [skill.to_string(), skill.queue().to_owned()]));
        self.call_all::<Vec<u64>>(Operation::Heartbeat, &arguments).await.map(drop)
    }
}

/// The jobs of one type and payload version, over all partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillStatus {
    /// Type and version, such as `document.ingest@1`.
    pub skill: String,
    /// The Open Job Spec queue that its jobs wait in.
    pub queue: String,
    /// Partitions that have such jobs and may run now. Those at their caps, or paused, are not among them.
    pub ready_partitions: u64,
    /// Live workers that declare the skill. With 0, its jobs wait until such a worker starts: nothing is lost, but an
    /// operator should look.
    pub workers: u64,
}

impl Queue {
    /// The skills that this queue has ever seen.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn skills(&self) -> Result<Vec<SkillStatus>, QueueError> {
        let arguments = vec![LIVE_MS.to_string()];
        let shards: Vec<Vec<(String, String, u64, u64)>> =
            self.call_all(Operation::Skills, &arguments).await?;
        let mut skills: BTreeMap<String, SkillStatus> = BTreeMap::new();
        for (skill, queue, ready_partitions, workers) in shards.into_iter().flatten() {
            let known = skills.entry(skill.clone());
            let status = known.or_insert(SkillStatus { skill, queue, ready_partitions: 0, workers: 0 });
            status.ready_partitions += ready_partitions;
            // A worker sends its heartbeat to every shard.
            status.workers = status.workers.max(workers);
        }
        Ok(skills.into_values().collect())
    }
}

/// A worker that said lately that it serves a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name: [`WorkerOptions::name`](crate::WorkerOptions::name), if it has one, and a random part.
    pub name: String,
    /// When it said so last.
    pub at: DateTime<chrono::Utc>,
}

impl Queue {
    /// The live workers that declare `skill`, by name.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn workers(&self, skill: &str) -> Result<Vec<WorkerSeen>, QueueError> {
        let mut workers: BTreeMap<String, DateTime<chrono::Utc>> = BTreeMap::new();
        for shard in self.shards() {
            let oldest = self.time(shard).await? - Duration::from_millis(LIVE_MS);
            let mut command = redis::cmd("ZRANGEBYSCORE");
            command.arg(self.key(shard, &format!("W:{skill}"))).arg(oldest.timestamp_millis()).arg("+inf");
            command.arg("WITHSCORES");
            let found: Vec<(String, i64)> = self.servers().query(shard, &command, Resend::Safe).await?;
            for (name, ms) in found {
                let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
                // A worker sends its heartbeat to every shard.
                let known = workers.entry(name).or_insert(at);
                *known = at.max(*known);
            }
        }
        Ok(workers.into_iter().map(|(name, at)| WorkerSeen { name, at }).collect())
    }

    /// The present moment, as the functions of a shard see it.
    pub(super) async fn time(&self, shard: u16) -> Result<DateTime<chrono::Utc>, QueueError> {
        if let Some(clock) = &self.inner.config.clock {
            return Ok(clock.now());
        }
        let (seconds, micros): (i64, u32) =
            self.servers().query(shard, &redis::cmd("TIME"), Resend::Safe).await?;
        DateTime::from_timestamp(seconds, micros * 1_000).ok_or(QueueError::Answer("a time"))
    }

    /// The partitions of which the queue has anything: jobs, dead letters, settings, totals of what ended lately. It
    /// looks through the names of all keys in Redis, step by step: for people who look at the queue, not for the daily
    /// work of programs.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn partitions(&self) -> Result<BTreeSet<PartitionId>, QueueError> {
        let mut partitions = BTreeSet::new();
        for shard in self.shards() {
            for totals in ["o", "o-"] {
                let mut ask = redis::cmd("HKEYS");
                ask.arg(self.key(shard, totals));
                let names: Vec<String> = self.servers().query(shard, &ask, Resend::Safe).await?;
                partitions.extend(names.into_iter().filter_map(|name| name.parse().ok()));
            }
            let mut cursor = "0".to_owned();
            loop {
                let (next, names) = self.partitions_with_keys(shard, &cursor).await?;
                let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok()?.parse().ok());
                partitions.extend(names);
                if next == "0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(partitions)
    }
}

impl Queue {
    /// Leader election by shard: returns the shards whose periodic work `name` this process has to do. Of all
    /// processes that ask within `period`, one gets each shard. A Redis that lost its data has forgotten the turns, so
    /// that the work is done again at once.
    ///
    /// # Errors
    /// When Redis fails. Some turns may be taken by then, until `period` is over.
    pub async fn turns(&self, name: &str, period: Duration) -> Result<Vec<u16>, QueueError> {
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut turns = Vec::new();
        for shard in self.shards() {
            let mut command = redis::cmd("SET");
            command.arg(self.turn_key(shard, name)).arg(1).arg("NX").arg("PX").arg(period_ms);
            if self.servers().query::<Option<String>>(shard, &command, Resend::Never).await?.is_some() {
                turns.push(shard);
            }
        }
        Ok(turns)
    }

    /// Gives turns back, because the work was not done.
    ///
    /// # Errors
    /// When Redis fails. Then they are free when their period is over.
    pub async fn turns_end(&self, name: &str, shards: &[u16]) -> Result<(), QueueError> {
        for &shard in shards {
            let mut command = redis::cmd("DEL");
            command.arg(self.turn_key(shard, name));
            self.servers().query::<i64>(shard, &command, Resend::Safe).await?;
        }
        Ok(())
    }

    fn turn_key(&self, shard: u16, name: &str) -> String {
        self.key(shard, &format!("turn:{name}"))
    }
}
