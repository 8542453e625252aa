//! Jobs that a caller expects to be in the queue: whether they are, and mending what was lost of them.
//!
//! The queue cannot know what it has lost. A program that keeps a list of what it pushed asks here, and pushes again
//! what is gone. Every answer is one atomic look at a partition, so a job that is just being moved (claimed, retried,
//! finished with its children) is never taken for lost.

use std::collections::BTreeMap;

use crate::error::QueueError;
use crate::id::{GroupId, JobId, PartitionId};
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// Jobs in one call, because a script has to end soon.
const PAGE: usize = 100;
/// Members of groups that are looked at in one call.
const MEMBERS: u32 = 1_000;

/// Where an expected job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// It runs, will run by itself, or what it left goes on: the group that it opened, or that group's continuation.
    There,
    /// It is a dead letter or in quarantine, or the continuation of its group is.
    Kept,
    /// It has ended lately, and left nothing that goes on.
    Ended,
    /// The queue knows nothing of it.
    Gone,
    /// It is there, or something that it left is, but will not go on by itself. [`Queue::mend`] puts back what can
    /// be, and makes room for the rest.
    Damaged(Damage),
}

/// What is lost of a job that is not gone as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The group that the jobs are members of; `None` for jobs by themselves.
    pub group: Option<GroupId>,
    /// The jobs. None of them: the group alone was left, without members.
    pub jobs: Vec<JobId>,
    /// Whether the expected job, or the continuation of its group, has lost its contents: it has to be pushed again
    /// after it was mended.
    pub is_lost: bool,
}

impl Queue {
    /// Where jobs are, in the order of the question. Nothing is changed.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn whereabouts(
        &self,
        expected: &[(PartitionId, JobId)],
    ) -> Result<Vec<Whereabouts>, QueueError> {
        let mut by_shard: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (at, (partition, _)) in expected.iter().enumerate() {
            by_shard.entry(self.home(partition)).or_default().push(at);
        }
        let mut found: Vec<Option<Whereabouts>> = expected.iter().map(|_| None).collect();
        for (shard, mut left) in by_shard {
            while !left.is_empty() {
                let page = &left[..left.len().min(PAGE)];
                let answers = self.look(shard, page.iter().map(|&at| &expected[at])).await?;
                for (&at, answer) in page.iter().zip(&answers) {
                    found[at] = read(expected[at].1, answer)?;
                }
                // The first one is always looked at, so this ends.
                left.retain(|&at| found[at].is_none());
            }
        }
        found.into_iter().collect::<Option<_>>().ok_or(QueueError::Answer("lost"))
    }

    async fn look(
        &self,
        shard: u16,
        jobs: impl Iterator<Item = &(PartitionId, JobId)>,
    ) -> Result<Vec<Vec<String>>, QueueError> {
        let mut arguments = vec![MEMBERS.to_string()];
        for (partition, id) in jobs {
            let ids = [id.to_string(), id.continuation().to_string(), GroupId::of(*id).to_string()];
            arguments.push(partition.to_string());
            arguments.extend(ids);
        }
        self.call(shard, Operation::Lost, Resend::Safe, arguments).await
    }

    /// Mends what [`Queue::whereabouts`] found: jobs that nothing led to are put at the end of their lists, what has
    /// lost its contents leaves quarantine and its group, and a group without members closes. Returns how many jobs
    /// were put back. What is not damaged any more stays as it is, so any number of callers may do it side by side.
    ///
    /// # Errors
    /// When Redis fails. Call it again then.
    pub async fn mend(&self, partition: &PartitionId, damage: &Damage) -> Result<u64, QueueError> {
        let group = damage.group.map_or_else(String::new, |group| group.to_string());
        let mut back = 0;
        // A group without lost members is closed by a call without jobs.
        let pages = damage.jobs.chunks(PAGE).map(<[_]>::to_vec);
        let pages = if damage.jobs.is_empty() { vec![Vec::new()] } else { pages.collect() };
        for page in pages {
            let mut arguments = vec![partition.to_string(), group.clone()];
            arguments.extend(page.iter().map(JobId::to_string));
            back += self.call_for::<u64>(partition, Operation::Mend, arguments).await?;
        }
        Ok(back)
    }
}

/// `None` for a job that was not looked at.
fn read(id: JobId, answer: &[String]) -> Result<Option<Whereabouts>, QueueError> {
    let unknown = QueueError::Answer("lost");
    let Some((letter, jobs)) = answer.split_first() else { return Err(unknown) };
    let jobs = || jobs.iter().map(|job| job.parse()).collect::<Result<Vec<JobId>, _>>();
    let jobs = jobs().map_err(|_| QueueError::Answer("lost"))?;
    Ok(Some(match letter.as_str() {
        "?" => return Ok(None),
        "t" => Whereabouts::There,
        "k" => Whereabouts::Kept,
        "e" => Whereabouts::Ended,
        "g" => Whereabouts::Gone,
        "l" => Whereabouts::Damaged(Damage { group: None, jobs, is_lost: false }),
        "b" => Whereabouts::Damaged(Damage { group: None, jobs, is_lost: true }),
        "m" => Whereabouts::Damaged(Damage { group: Some(GroupId::of(id)), jobs, is_lost: false }),
        _ => return Err(unknown),
    }))
}
