//! Pushing, on both sides.

use jobs::envelope::{Chain, EnqueueOptions};
use jobs::queue::{ConflictDone, OnFailure, OpenGroup, PushOutcome, QueueError};
use jobs::tenant::TenantContext;

use super::call::GroupOf;
use super::{Checked, Run, failed};
use crate::queue::model::keys::same;
use crate::queue::model::plain::{Block, Conflict, Enqueued, Id, Refused};
use crate::queue::model::world::{NewPing, TENANTS};
use crate::queue::support::{Ping, Pong};

impl Run {
    pub(super) async fn push(&mut self, ids: &[Id], accepted: bool) -> Checked {
        let jobs: Vec<_> = ids.iter().map(|id| self.stamped[id].clone()).collect();
        let blocks = self.model.blocks(ids);
        let expected = self.model.enqueue(!accepted, &blocks);
        let queue = &self.h.queue;
        let found = if accepted { queue.push_accepted(&jobs).await } else { queue.push(&jobs).await };
        compare(found, &expected, ids.len())
    }

    pub(super) async fn push_group(&mut self, group: GroupOf, members: &[Id]) -> Checked {
        let jobs: Vec<_> = members.iter().map(|id| self.stamped[id].clone()).collect();
        let mut blocks = vec![block(group)];
        blocks.extend(self.model.blocks(members));
        let expected = self.model.enqueue(true, &blocks);
        compare(self.h.queue.push_group(&self.open(group), &jobs).await, &expected, members.len())
    }

    pub(super) fn open(&self, group: GroupOf) -> OpenGroup {
        let on_failure = if group.cancels { OnFailure::Cancel } else { OnFailure::Continue };
        OpenGroup { id: group.id, continuation: self.stamped[&group.continuation].clone(), on_failure }
    }

    pub(super) async fn push_chain(&mut self, ids: &[Id]) -> Checked {
        let mut blocks = Vec::new();
        for pair in ids.windows(2).rev() {
            let id = self.model.jobs[&pair[0]].spec.group.ok_or("a link without a group")?;
            blocks.push(block(GroupOf { id, continuation: pair[1], cancels: true }));
        }
        blocks.extend(self.model.blocks(&ids[..1]));
        let expected = self.model.enqueue(true, &blocks);
        let context = TenantContext::for_tests(TENANTS[self.model.tenant_of(ids[0])]);
        let chain = self.chain(&context, ids)?;
        compare(self.h.queue.push_chain(&chain).await, &expected, 1)
    }

    pub(super) fn chain<'a>(&'a self, context: &'a TenantContext, ids: &[Id]) -> Result<Chain<'a>, String> {
        let mut chain = Chain::of(&self.h.stamper, context);
        for id in ids {
            let options = EnqueueOptions { id: Some(*id), ..EnqueueOptions::default() };
            chain = match self.model.jobs[id].spec.lane {
                0 => chain.then_with(&Ping::default(), options),
                1 => chain.then_with(&Pong::default(), options),
                _ => chain.then_with(&NewPing::default(), options),
            }
            .map_err(failed)?;
        }
        Ok(chain)
    }
}

pub(super) fn block(group: GroupOf) -> Block {
    Block::Group { group: group.id, continuation: group.continuation, cancels: group.cancels }
}

fn compare(found: Result<PushOutcome, QueueError>, expected: &Enqueued, jobs: usize) -> Checked {
    let found = match found {
        Ok(found) => found,
        Err(QueueError::LimitReached(limits)) => {
            let read = |limit: &jobs::queue::LimitReached| Refused {
                tenant: TENANTS.iter().position(|name| *name == limit.tenant.as_str()).unwrap_or(usize::MAX),
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
