//! How much waits and how much could start, over all partitions, at a cost that does not grow with their number.
//!
//! One call looks at a few hundred partitions of each shard. As long as there are not more, its answer is exact;
//! beyond, those at both ends of the ready indexes stand for the others, and the states of partitions are counted a
//! part at a time, from call to call.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::error::QueueError;
use crate::id::{JobId, PartitionId};
use crate::queue::{LIVE_MS, Queue};
use crate::redis::Resend;
use crate::script::Operation;
use futures::future::join_all;

/// Partitions that are looked at in each shard.
const MOST: u32 = 400;

/// What is in the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueOverview {
    /// Jobs of which there is a record: open ones, dead letters, quarantined ones.
    pub records: u64,
    /// Jobs that workers hold.
    pub in_flight: u64,
    /// Partitions that have rows, because they have work or settings, by state.
    pub partitions: PartitionStates,
    /// The skills that the queue has ever seen.
    pub skills: Vec<SkillOverview>,
}

/// How many partitions are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionStates {
    /// Nothing of theirs waits for a worker.
    pub idle: u64,
    /// A free slot would serve them.
    pub ready: u64,
    /// They have as many jobs in flight as they may.
    pub capped: u64,
    /// Their rate has to let the next job start.
    pub limited: u64,
    /// They are paused or suspended.
    pub paused: u64,
}

impl PartitionStates {
    /// Each state with its name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("idle", self.idle),
            ("ready", self.ready),
            ("capped", self.capped),
            ("limited", self.limited),
            ("paused", self.paused),
        ]
    }

    fn plus(self, other: Self) -> Self {
        Self {
            idle: self.idle + other.idle,
            ready: self.ready + other.ready,
            capped: self.capped + other.capped,
            limited: self.limited + other.limited,
            paused: self.paused + other.paused,
        }
    }
}

/// What waits of one type and payload version, in partitions that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillOverview {
    /// Type and version, such as `document.ingest@1`.
    pub skill: String,
    /// The Open Job Spec queue that its jobs wait in.
    pub queue: String,
    /// Live workers that declare it.
    pub workers: u64,
    /// Partitions that have such jobs and may run now.
    pub ready_partitions: u64,
    /// Jobs that wait for a worker in these partitions.
    pub waiting: u64,
    /// How many of them could start now if there were slots enough: as many as caps and rates let.
    pub startable: u64,
    /// The job that was made first of those that are next in a list.
    pub oldest: Option<(PartitionId, JobId)>,
}

/// Takes an [`QueueOverview`] again and again.
#[derive(Debug)]
pub struct Census {
    queue: Queue,
    shards: Mutex<BTreeMap<u16, Walk>>,
}

/// How far the walk through a shard's rows has come.
#[derive(Debug, Clone, Default)]
struct Walk {
    cursor: String,
    /// Of the walk that is under way.
    so_far: PartitionStates,
    /// Of the last whole walk.
    whole: Option<PartitionStates>,
}

impl Walk {
    fn go_on(&mut self, cursor: &str, found: PartitionStates) {
        let so_far = self.so_far.plus(found);
        if cursor == "0" {
            *self = Self { cursor: String::new(), so_far: PartitionStates::default(), whole: Some(so_far) };
        } else {
            *self = Self { cursor: cursor.to_owned(), so_far, whole: self.whole };
        }
    }

    fn cursor(&self) -> &str {
        if self.cursor.is_empty() { "0" } else { &self.cursor }
    }
}

/// The answer of one shard, as its function gives it.
type Answer = (u64, u64, String, u64, Vec<u64>, Vec<Skill>);
/// Skill, queue, workers, ready partitions, waiting, startable, partition and id of the oldest job.
type Skill = (String, String, u64, u64, u64, u64, String, String);

impl Census {
    /// A census of `queue`.
    #[must_use]
    pub fn of(queue: impl Into<Queue>) -> Self {
        Self { queue: queue.into(), shards: Mutex::default() }
    }

    /// What is in the queue now. Partitions are counted a part at a time: after a start, or with very many, their
    /// states are those of some calls ago.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn take(&self) -> Result<QueueOverview, QueueError> {
        let answers = join_all(self.queue.shards().map(|shard| self.ask(shard))).await;
        let (mut overview, mut skills) = (QueueOverview::default(), BTreeMap::new());
        for (answer, shard) in answers.into_iter().zip(self.queue.shards()) {
            let (records, in_flight, cursor, _, states, found) = answer?;
            overview.records += records;
            overview.in_flight += in_flight;
            overview.partitions = overview.partitions.plus(self.counted(shard, &cursor, states_of(&states)?));
            for skill in found {
                add(&mut skills, skill_of(skill));
            }
        }
        Ok(QueueOverview { skills: skills.into_values().collect(), ..overview })
    }

    async fn ask(&self, shard: u16) -> Result<Answer, QueueError> {
        let cursor = self.walks().entry(shard).or_default().cursor().to_owned();
        let arguments = vec![LIVE_MS.to_string(), MOST.to_string(), cursor];
        self.queue.call(shard, Operation::Census, Resend::Safe, arguments).await
    }

    /// The states of the shard's partitions, after another part of them was looked at.
    fn counted(&self, shard: u16, cursor: &str, found: PartitionStates) -> PartitionStates {
        let mut walks = self.walks();
        let walk = walks.entry(shard).or_default();
        walk.go_on(cursor, found);
        walk.whole.unwrap_or(walk.so_far)
    }

    fn walks(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, Walk>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn states_of(counts: &[u64]) -> Result<PartitionStates, QueueError> {
    let &[idle, ready, capped, limited, paused] = counts else {
        return Err(QueueError::Answer("census"));
    };
    Ok(PartitionStates { idle, ready, capped, limited, paused })
}

fn skill_of(
    (skill, queue, workers, ready_partitions, waiting, startable, tenant, id): Skill,
) -> SkillOverview {
    let oldest = tenant.parse().ok().zip(id.parse().ok());
    SkillOverview { skill, queue, workers, ready_partitions, waiting, startable, oldest }
}

/// A worker sends its heartbeat to every shard; partitions and jobs are in one.
fn add(skills: &mut BTreeMap<String, SkillOverview>, skill: SkillOverview) {
    let Some(known) = skills.get_mut(&skill.skill) else {
        skills.insert(skill.skill.clone(), skill);
        return;
    };
    known.workers = known.workers.max(skill.workers);
    known.ready_partitions += skill.ready_partitions;
    known.waiting += skill.waiting;
    known.startable += skill.startable;
    let made_at = |oldest: &Option<(PartitionId, JobId)>| oldest.as_ref().map(|(_, id)| id.created_at());
    if known.oldest.is_none() || (skill.oldest.is_some() && made_at(&skill.oldest) < made_at(&known.oldest)) {
        known.oldest = skill.oldest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_the_last_whole_walk() {
        let (mut walk, two) = (Walk::default(), PartitionStates { ready: 2, ..PartitionStates::default() });
        walk.go_on("17", two);
        assert_eq!((walk.cursor(), walk.so_far.ready, walk.whole), ("17", 2, None));
        walk.go_on("0", two);
        assert_eq!(
            (walk.cursor(), walk.so_far.ready, walk.whole.map(|whole| whole.ready)),
            ("0", 0, Some(4))
        );
        walk.go_on("9", PartitionStates::default());
        assert_eq!(walk.whole.map(|whole| whole.ready), Some(4));
    }
}
