//! What a partition may use, whether work flows, and what the queue keeps of such settings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use redis::Cmd;
use serde::{Deserialize, Serialize};

use crate::error::QueueError;
use crate::id::PartitionId;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// A change to a partition's settings. `None` leaves a setting as it is. Changes apply to queued work at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionShare {
    /// Share of the workers' time compared with other partitions, 1 to 100.
    pub weight: Option<u32>,
    /// Maximum number of running jobs.
    pub cap: Option<u32>,
    /// How many jobs of a type may run at once, by job type; `None` ends a limit.
    pub type_caps: BTreeMap<String, Option<u32>>,
    /// Whether the caps of all types that are not in [`PartitionShare::type_caps`] end.
    pub only_these_type_caps: bool,
    /// The shortest mean distance between two starts, in milliseconds; 0 for no limit.
    pub interval_ms: Option<u32>,
    /// Burst: how many jobs may start at once after an idle time.
    pub burst: Option<u32>,
    /// Maximum number of waiting jobs, scheduled ones included; 0 for no limit.
    pub backlog_jobs: Option<u64>,
    /// Maximum size in bytes of the queue's records of open jobs together; 0 for no limit. Counting starts when the
    /// limit is set; the size of jobs open at that moment is estimated.
    pub backlog_bytes: Option<u64>,
    /// How many jobs may wait for their time; 0 for no limit.
    pub scheduled_jobs: Option<u64>,
    /// Whether the partition is paused: nothing starts.
    pub paused: Option<bool>,
    /// Whether the partition is suspended: as paused, and its jobs say that they are parked.
    pub suspended: Option<bool>,
    /// Whether the partition is draining: jobs in the queue run, new ones are refused.
    pub draining: Option<bool>,
    /// Whether the partition's jobs of a queue flow, by queue.
    pub queues: BTreeMap<String, Flow>,
}

impl PartitionShare {
    /// Every limit as it is for a partition without settings. Holds (paused, suspended, draining) stay as they are,
    /// and so do caps of types.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            weight: Some(1),
            cap: Some(u32::MAX),
            interval_ms: Some(0),
            burst: Some(1),
            backlog_jobs: Some(0),
            backlog_bytes: Some(0),
            scheduled_jobs: Some(0),
            ..Self::default()
        }
    }

    fn fields(&self) -> Vec<String> {
        let no_limit = |value: Option<u64>, none: u64| {
            value.map(|value| if value == none { String::new() } else { value.to_string() })
        };
        let flag = |value: Option<bool>| value.map(|on| u8::from(on).to_string());
        let plain = [
            ("w", no_limit(self.weight.map(|weight| weight.clamp(1, 100).into()), 1)),
            ("cap", no_limit(self.cap.map(u64::from), u32::MAX.into())),
            ("emit", no_limit(self.interval_ms.map(u64::from), 0)),
            ("burst", no_limit(self.burst.map(|burst| burst.max(1).into()), 1)),
            ("qj", no_limit(self.backlog_jobs, 0)),
            ("qb", no_limit(self.backlog_bytes, 0)),
            ("qs", no_limit(self.scheduled_jobs, 0)),
            ("paused", flag(self.paused)),
            ("suspended", flag(self.suspended)),
            ("draining", flag(self.draining)),
        ];
        let plain = plain.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let cap = |cap: &Option<u32>| cap.map_or_else(String::new, |cap| cap.to_string());
        let caps = self.type_caps.iter().map(|(kind, limit)| (format!("k:{kind}"), cap(limit)));
        let no_others = self.only_these_type_caps.then(|| ("k".to_owned(), String::new()));
        let queues = self.queues.iter().map(|(queue, flow)| (format!("p:{queue}"), flow.value().to_owned()));
        let all = plain.chain(no_others).chain(caps).chain(queues);
        all.flat_map(|(name, value)| [name, value]).collect()
    }

    /// With what was decided about the flow of the partition's jobs: of its queues, and of all of them under an empty
    /// name.
    #[must_use]
    pub fn with_flows(mut self, flows: &BTreeMap<String, Flow>) -> Self {
        for (queue, &flow) in flows {
            if queue.is_empty() {
                self.paused = Some(flow == Flow::Paused);
                self.draining = Some(flow == Flow::Draining);
            } else {
                self.queues.insert(queue.clone(), flow);
            }
        }
        self
    }

    /// Whether the queue has other settings than these, by the fields that it keeps of a partition.
    #[must_use]
    pub fn differs(&self, kept: &BTreeMap<String, String>) -> bool {
        let wanted = self.fields();
        let wanted: BTreeMap<&str, &str> =
            wanted.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        let is_flag = |name: &str| matches!(name, "paused" | "suspended" | "draining");
        let other = |(name, value): (&&str, &&str)| match kept.get(*name) {
            None => !(value.is_empty() || is_flag(name) && *value == "0"),
            Some(kept) => kept != *value,
        };
        let only = |name: &&String| name.starts_with("k:") && !wanted.contains_key(name.as_str());
        let strange = self.only_these_type_caps && kept.keys().any(|name| only(&name));
        strange || wanted.iter().filter(|(name, _)| **name != "k").any(other)
    }
}

/// Whether the jobs of a queue flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// No restriction.
    Open,
    /// Nothing starts; new jobs are accepted and wait.
    Paused,
    /// Jobs in the queue run; new jobs are refused.
    Draining,
}

impl Flow {
    /// Every flow there is.
    pub const ALL: [Self; 3] = [Self::Open, Self::Paused, Self::Draining];

    /// Its name in tables and HTTP answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// The flow of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flow| flow.as_str() == name)
    }

    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

/// Why new jobs of a partition were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant {partition}: {limit} is {current} of {maximum}, try again in {} s", .retry_after.as_secs())]
pub struct LimitReached {
    /// The partition that the limits apply to.
    pub partition: PartitionId,
    /// Which limit: `backlog_jobs`, `backlog_bytes`, `scheduled_jobs`; or, with 0 of 0, `tenant_draining`,
    /// `queue_draining`, `tenant_queue_draining`.
    pub limit: String,
    /// The current amount.
    pub current: u64,
    /// How much there may be.
    pub maximum: u64,
    /// When there may be room again, a guess.
    pub retry_after: Duration,
}

impl LimitReached {
    pub(super) fn read(refused: &[String]) -> Result<Vec<Self>, QueueError> {
        let unreadable = QueueError::Answer("enqueue");
        let read = |entry: &[String]| {
            let number = |index: usize| entry[index].parse::<u64>().ok();
            Some(Self {
                partition: entry[0].parse().ok()?,
                limit: entry[1].clone(),
                current: number(2)?,
                maximum: number(3)?,
                retry_after: Duration::from_millis(number(4)?),
            })
        };
        refused.chunks_exact(5).map(read).collect::<Option<_>>().ok_or(unreadable)
    }
}

impl Queue {
    /// Changes a partition's share. Applies to its queued work at once.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn partition_set(
        &self,
        partition: &PartitionId,
        share: PartitionShare,
    ) -> Result<(), QueueError> {
        self.partition_fields(partition, share.fields()).await
    }

    /// Pauses, drains or opens one queue of one partition.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn partition_queue_set(
        &self,
        partition: &PartitionId,
        queue: &str,
        flow: Flow,
    ) -> Result<(), QueueError> {
        self.partition_fields(partition, vec![format!("p:{queue}"), flow.value().to_owned()]).await
    }

    async fn partition_fields(&self, partition: &PartitionId, fields: Vec<String>) -> Result<(), QueueError> {
        let mut arguments = vec![partition.to_string()];
        arguments.extend(fields);
        self.call_for::<i64>(partition, Operation::Tenant, arguments).await.map(drop)
    }

    /// Pauses, drains or opens a queue for all partitions.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn queue_set(&self, queue: &str, flow: Flow) -> Result<(), QueueError> {
        let arguments = vec![queue.to_owned(), flow.value().to_owned()];
        self.call_all::<i64>(Operation::Queue, &arguments).await.map(drop)
    }
}

/// How many partitions that have something in the queue or settings are looked at in one step.
const PAGE: usize = 200;
/// How many of the partitions to be served next are read in each skill.
const NEXT: isize = 50;
const SKILLS_MAX: u16 = 64;

/// The settings that Redis keeps for some partitions.
#[derive(Debug)]
pub struct KeptSettings {
    /// Cursor of the next page; `0` at the start and when all were read.
    pub cursor: String,
    /// Fields by name, as the queue's scripts call them.
    pub partitions: Vec<(PartitionId, BTreeMap<String, String>)>,
}

impl Queue {
    /// Reads what a shard keeps of the settings of a page of partitions, and of those it serves next. Active
    /// partitions are thus checked in each call and idle ones page by page, so that the cost does not grow with the
    /// number of partitions.
    /// # Errors
    /// When Redis fails.
    pub async fn kept_settings(&self, shard: u16, cursor: &str) -> Result<KeptSettings, QueueError> {
        let mut page = redis::cmd("HSCAN");
        page.arg(self.key(shard, "T")).arg(cursor).arg("COUNT").arg(PAGE);
        let (cursor, rows): (String, Vec<Vec<u8>>) = self.servers().query(shard, &page, Resend::Safe).await?;
        let mut names: BTreeSet<PartitionId> = rows.chunks_exact(2).filter_map(|row| name(&row[0])).collect();
        let skills: u16 = self.ask(shard, "HLEN", "L").await?;
        let next = (0..(skills / 3).min(SKILLS_MAX)).map(|skill| self.next(shard, skill));
        for served in join_all(next).await {
            names.extend(served?);
        }
        let fields = names.iter().map(|partition| self.fields(shard, partition));
        let fields = join_all(fields).await;
        Ok(KeptSettings { cursor, partitions: names.into_iter().zip(fields).collect() })
    }

    async fn next(&self, shard: u16, skill: u16) -> Result<Vec<PartitionId>, QueueError> {
        let mut first = redis::cmd("ZRANGE");
        first.arg(self.key(shard, &format!("r:{skill}"))).arg(0).arg(NEXT - 1);
        let names: Vec<Vec<u8>> = self.servers().query(shard, &first, Resend::Safe).await?;
        Ok(names.iter().filter_map(|bytes| name(bytes)).collect())
    }

    /// None, when they cannot be read: then they are not what was decided.
    async fn fields(&self, shard: u16, partition: &PartitionId) -> BTreeMap<String, String> {
        let fields: Result<BTreeMap<Vec<u8>, Vec<u8>>, _> =
            self.ask(shard, "HGETALL", &format!("t:{partition}:S")).await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        fields.unwrap_or_default().into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The queues that a shard holds back for all partitions.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_flows(&self, shard: u16) -> Result<BTreeMap<String, Flow>, QueueError> {
        let kept: BTreeMap<Vec<u8>, Vec<u8>> = self.ask(shard, "HGETALL", "P").await?;
        let read = |(queue, flow): (Vec<u8>, Vec<u8>)| {
            let flow = Flow::from_name(std::str::from_utf8(&flow).ok()?)?;
            Some((String::from_utf8(queue).ok()?, flow))
        };
        Ok(kept.into_iter().filter_map(read).collect())
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        shard: u16,
        command: &str,
        key: &str,
    ) -> Result<T, QueueError> {
        let mut call = Cmd::new();
        call.arg(command).arg(self.key(shard, key));
        self.servers().query(shard, &call, Resend::Safe).await
    }
}

fn name(bytes: &[u8]) -> Option<PartitionId> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
