//! Pushing, on both sides.

use fair_queue::{ConflictDone, OnFailure, OpenGroup, PushOutcome, QueueError};

use super::call::GroupOf;
use super::{Checked, Run, failed};
use crate::model::keys::same;
use crate::model::plain::{Block, Conflict, Enqueued, Id, Refused};
use crate::model::world::TENANTS;

impl Run {
    pub(super) async fn push(&mut self, ids: &[Id], accepted: bool) -> Checked {
        let jobs: Vec<_> = ids.iter().map(|id| self.made[id].clone()).collect();
        let blocks = self.model.blocks(ids);
        let expected = self.model.enqueue(!accepted, &blocks);
        let queue = &self.h.queue;
        let found = if accepted { queue.push_accepted(&jobs).await } else { queue.push(&jobs).await };
        compare(found, &expected, ids.len())
    }

    pub(super) async fn push_group(&mut self, group: GroupOf, members: &[Id]) -> Checked {
        let jobs: Vec<_> = members.iter().map(|id| self.made[id].clone()).collect();
        let mut blocks = vec![block(group)];
        blocks.extend(self.model.blocks(members));
        let expected = self.model.enqueue(true, &blocks);
        compare(self.h.queue.push_group(&self.open(group), &jobs).await, &expected, members.len())
    }

    pub(super) fn open(&self, group: GroupOf) -> OpenGroup {
        let on_failure = if group.cancels { OnFailure::Cancel } else { OnFailure::Continue };
        OpenGroup { id: group.id, continuation: self.made[&group.continuation].clone(), on_failure }
    }

    pub(super) async fn push_chain(&mut self, ids: &[Id]) -> Checked {
        let mut blocks = Vec::new();
        for pair in ids.windows(2).rev() {
            let id = self.model.jobs[&pair[0]].spec.group.ok_or("a link without a group")?;
            blocks.push(block(GroupOf { id, continuation: pair[1], cancels: true }));
        }
        blocks.extend(self.model.blocks(&ids[..1]));
        let expected = self.model.enqueue(true, &blocks);
        let chain: Vec<_> = ids.iter().map(|id| self.made[id].clone()).collect();
        compare(self.h.queue.push_chain(&chain).await, &expected, 1)
    }
}

pub(super) fn block(group: GroupOf) -> Block {
    Block::Group { group: group.id, continuation: group.continuation, cancels: group.cancels }
}

fn compare(found: Result<PushOutcome, QueueError>, expected: &Enqueued, jobs: usize) -> Checked {
    let found = match found {
        Ok(found) => found,
        Err(QueueError::LimitReached(limits)) => {
            let read = |limit: &fair_queue::LimitReached| Refused {
                tenant: TENANTS
                    .iter()
                    .position(|name| *name == limit.partition.as_str())
                    .unwrap_or(usize::MAX),
                limit: limit.limit.clone(),
                current: limit.current,
                maximum: limit.maximum,
            };
            if let Some(limit) = limits.iter().find(|limit| !(1..=60).contains(&limit.retry_after.as_secs()))
            {
                return Err(format!("try again after {:?}", limit.retry_after));
            }
            return same("refused", &limits.iter().map(read).collect(), &expected.refused);
        }
        Err(error) => return Err(failed(error)),
    };
    same("refused", &Vec::new(), &expected.refused)?;
    same("accepted", &found.accepted, &expected.accepted)?;
    same("duplicates", &found.duplicates, &(jobs - expected.accepted.min(jobs)))?;
    let name = |done| match done {
        ConflictDone::Kept => "kept",
        ConflictDone::Replaced => "replaced",
        ConflictDone::Rescheduled => "rescheduled",
    };
    let conflicts =
        found.conflicts.iter().map(|conflict| (conflict.id, conflict.existing, name(conflict.done)));
    same("conflicts", &conflicts.collect::<Vec<Conflict>>(), &expected.conflicts)
}
