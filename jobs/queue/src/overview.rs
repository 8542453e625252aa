//! Many partitions at a glance: which have work, and how each is. What it costs grows with the partitions that have
//! work, not with those that there are.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use redis::Value;

use crate::answers::texts;
use crate::error::QueueError;
use crate::id::{JobId, PartitionId};
use crate::queue::{Queue, moment};
use crate::redis::Resend;
use crate::script::Operation;

/// Partitions in one call, because a script has to end soon.
const PAGE: usize = 50;
/// Skills and claims that are looked through.
const SKILLS_MAX: u16 = 64;
const CLAIMS_MAX: isize = 5_000;
/// Claims that are read in one call.
const CLAIMS_READ: usize = 100;

/// Whether jobs of a partition may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionState {
    /// It has nothing that could start.
    Idle,
    /// The next free worker may take its jobs.
    Ready,
    /// As many of its jobs run as may, altogether or of each type that waits.
    Capped,
    /// Its rate, or a rest after a job could not run.
    Limited,
    /// It was paused, or each of its queues that have work.
    Paused,
    /// It is suspended.
    Suspended,
}

impl PartitionState {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "idle" => Self::Idle,
            "ready" => Self::Ready,
            "capped" => Self::Capped,
            "limited" => Self::Limited,
            "paused" => Self::Paused,
            "suspended" => Self::Suspended,
            _ => return None,
        })
    }
}

/// How a partition is, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOverview {
    /// The partition.
    pub partition: PartitionId,
    /// Whether its jobs may start.
    pub state: PartitionState,
    /// Whether it refuses new jobs, so that it runs empty.
    pub is_draining: bool,
    /// Running jobs.
    pub active: u64,
    /// How many may run at once; `None` without limit.
    pub cap: Option<u64>,
    /// Its share of worker time, among the weights of those that have work.
    pub weight: u64,
    /// When it may start a job again, if that is not now.
    pub limited_until: Option<DateTime<Utc>>,
    /// Waiting for a worker.
    pub available: u64,
    /// When the oldest of them was made, as its id says.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Waiting for their next attempt.
    pub retryable: u64,
    /// Waiting until the partition may run; of a suspended one everything that would otherwise be available.
    pub parked: u64,
    /// Dead letters kept.
    pub discarded: u64,
    /// Jobs kept in quarantine.
    pub quarantined: u64,
    /// Completed jobs, since the queue knows the partition.
    pub completed_total: u64,
    /// Jobs cancelled since then.
    pub cancelled_total: u64,
    /// Discarded since then.
    pub discarded_total: u64,
}

impl PartitionOverview {
    /// Jobs that will still run by themselves.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.available + self.scheduled + self.retryable + self.parked
    }

    fn read(partition: &PartitionId, row: &[Value], now: DateTime<Utc>) -> Result<Option<Self>, QueueError> {
        let row = texts(row)?;
        if row.len() != 16 {
            return Ok(None);
        }
        let number = |at: usize| row[at].parse::<u64>().unwrap_or(0);
        let until = moment(&row[4]).ok().filter(|until| *until > now);
        Ok(Some(Self {
            partition: partition.clone(),
            state: PartitionState::from_name(&row[0]).ok_or(QueueError::Answer("an unknown state"))?,
            active: number(1),
            cap: row[2].parse().ok(),
            weight: number(3),
            limited_until: until,
            is_draining: row[5] == "1",
            available: number(6),
            oldest_at: row[7].parse::<JobId>().ok().and_then(|id| id.created_at()),
            scheduled: number(8),
            retryable: number(9),
            parked: number(10),
            discarded: number(11),
            quarantined: number(12),
            completed_total: number(13),
            cancelled_total: number(14),
            discarded_total: number(15),
        }))
    }
}

impl Queue {
    /// The partitions of a shard that have jobs which run, may start, or are due at some time: at most about `most`.
    /// One whose last claimed jobs have just ended may be among them. Those that are paused are not, unless they run
    /// something: the caller that paused them knows them.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn active_partitions(
        &self,
        shard: u16,
        most: usize,
    ) -> Result<BTreeSet<PartitionId>, QueueError> {
        let last = isize::try_from(most).unwrap_or(isize::MAX) - 1;
        let skills: u16 =
            self.servers().query(shard, &self.command("HLEN", shard, "L"), Resend::Safe).await?;
        let ready =
            (0..(skills / 3).min(SKILLS_MAX)).map(|skill| self.members(shard, format!("r:{skill}"), last));
        let ready = try_join_all(ready).await?;
        let timers = self.members(shard, "w".to_owned(), last).await?;
        // A timer is called by a letter and the partition.
        let timers = timers.iter().filter_map(|name| name.get(1..)).map(<[u8]>::to_vec);
        let mut names: BTreeSet<Vec<u8>> = ready.into_iter().flatten().chain(timers).collect();
        names.extend(self.claimed(shard).await?);
        let named =
            names.into_iter().take(most).filter_map(|name| String::from_utf8(name).ok()?.parse().ok());
        Ok(named.collect())
    }

    fn command(&self, command: &str, shard: u16, key: &str) -> redis::Cmd {
        let mut call = redis::cmd(command);
        call.arg(self.key(shard, key));
        call
    }

    async fn members(&self, shard: u16, key: String, last: isize) -> Result<Vec<Vec<u8>>, QueueError> {
        let mut range = self.command("ZRANGE", shard, &key);
        range.arg(0).arg(last);
        self.servers().query(shard, &range, Resend::Safe).await
    }

    /// The partitions of which something is claimed.
    async fn claimed(&self, shard: u16) -> Result<BTreeSet<Vec<u8>>, QueueError> {
        let claims = self.members(shard, "l".to_owned(), CLAIMS_MAX - 1).await?;
        let mut names = BTreeSet::new();
        for claims in claims.chunks(CLAIMS_READ) {
            let mut read = redis::cmd("MGET");
            for claim in claims {
                read.arg(self.key(shard, &format!("c:{}", String::from_utf8_lossy(claim))));
            }
            let written: Vec<Option<Vec<u8>>> = self.servers().query(shard, &read, Resend::Safe).await?;
            written.iter().flatten().for_each(|written| names.extend(names_in_claim(written)));
        }
        Ok(names)
    }

    /// How these partitions are, in their order. One whose keys are damaged is left out.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn overview(&self, partitions: &[PartitionId]) -> Result<Vec<PartitionOverview>, QueueError> {
        let now = self.time(0).await?;
        let mut found = Vec::with_capacity(partitions.len());
        for shard in self.shards() {
            let home: Vec<&PartitionId> = partitions.iter().filter(|name| self.home(name) == shard).collect();
            for part in home.chunks(PAGE) {
                let names = part.iter().map(ToString::to_string).collect::<Vec<String>>();
                let rows: Vec<Vec<Value>> =
                    self.call(shard, Operation::Overview, Resend::Safe, names).await?;
                for (partition, row) in part.iter().zip(&rows) {
                    found.extend(PartitionOverview::read(partition, row, now)?);
                }
            }
        }
        let place: std::collections::HashMap<_, _> =
            partitions.iter().enumerate().map(|(at, name)| (name, at)).collect();
        found.sort_by_key(|one| place.get(&one.partition).copied());
        Ok(found)
    }
}

/// The partitions that a claim names: each with how many ids follow, one a line.
fn names_in_claim(written: &[u8]) -> Vec<Vec<u8>> {
    let (mut names, mut lines) =
        (Vec::new(), written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()));
    while let (Some(name), Some(count)) = (lines.next(), lines.next()) {
        let Some(count) = std::str::from_utf8(count).ok().and_then(|count| count.parse::<usize>().ok())
        else {
            break;
        };
        names.push(name.to_vec());
        lines.by_ref().take(count).for_each(drop);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_its_partitions() {
        let names = |written: &str| -> Vec<String> {
            names_in_claim(written.as_bytes())
                .into_iter()
                .map(|name| String::from_utf8(name).unwrap())
                .collect()
        };
        assert_eq!(names("acme\n2\nid\nid\nother\n1\nid\n"), ["acme", "other"]);
        assert_eq!(names("acme\n1\nid\n\nother\n1\nid\n"), ["acme", "other"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("damaged\nx\nacme\n1"), [""; 0]);
    }
}
