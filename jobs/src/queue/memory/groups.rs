//! Groups: their continuation starts when the last member has ended, exactly once.

use std::collections::BTreeSet;

use super::job::Place;
use super::state::State;
use crate::envelope::StampedJob;
use crate::id::{GroupId, JobId};
use crate::queue::finish::{OnFailure, OpenGroup};
use crate::tenant::TenantId;

/// Jobs, and the one that starts when they are done.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeSet<JobId>,
    pub(super) continuation: StampedJob,
    on_failure: OnFailure,
    /// Everything of its tenant was called off after it had been opened.
    pub(super) called_off: bool,
}

impl State {
    pub(super) fn open_group(&mut self, group: &OpenGroup) {
        let OpenGroup { id, continuation, on_failure } = group.clone();
        let (tenant, on_failure) = (continuation.tenant.clone(), on_failure);
        self.queue_of.entry(continuation.lane.clone()).or_insert_with(|| continuation.queue.clone());
        self.tenant(&tenant).groups.entry(id).or_insert_with(|| Group {
            members: BTreeSet::new(),
            continuation,
            on_failure,
            called_off: false,
        });
        self.join(&group.continuation);
    }

    /// The job becomes a member of its group, if that is still open and the job is in no other.
    pub(super) fn join(&mut self, job: &StampedJob) {
        let Some(group) = job.group else { return };
        let tenant = self.tenant(&job.tenant);
        if let Some(open) = tenant.groups.get_mut(&group)
            && !tenant.member_of.contains_key(&job.id)
        {
            open.members.insert(job.id);
            tenant.member_of.insert(job.id, group);
        }
    }

    /// A job has reached a final state.
    pub(super) fn leave(&mut self, name: &TenantId, id: JobId, failed: bool, now_ms: i64) {
        let tenant = self.tenant(name);
        let Some(group) = tenant.member_of.remove(&id) else { return };
        let Some(open) = tenant.groups.get_mut(&group) else { return };
        if !open.members.remove(&id) {
            return;
        }
        if failed && open.on_failure == OnFailure::Cancel {
            self.cancel_group(name, group, now_ms);
        } else {
            self.close_if_empty(name, group, now_ms);
        }
    }

    /// Enqueues the continuation when nobody is left. The group is gone then, so it cannot happen twice.
    pub(super) fn close_if_empty(&mut self, name: &TenantId, group: GroupId, now_ms: i64) {
        let groups = &mut self.tenant(name).groups;
        if groups.get(&group).is_none_or(|open| !open.members.is_empty()) {
            return;
        }
        let Some(Group { continuation, called_off, .. }) = groups.remove(&group) else { return };
        if called_off {
            self.tenant(name).totals.cancelled += 1;
            self.leave(name, continuation.id, true, now_ms);
            return;
        }
        match self.jobs.get(&continuation.id).map(|job| &job.place) {
            None => self.insert(&continuation, now_ms),
            // It was there before, and has ended for whoever waits for it.
            Some(Place::Kept { .. }) => self.leave(name, continuation.id, true, now_ms),
            Some(_) => {}
        }
    }

    /// Calls a group off: its continuation, every member that has not ended, and the groups that members wait
    /// for. How many members there were.
    pub(super) fn cancel_group(&mut self, name: &TenantId, group: GroupId, now_ms: i64) -> Option<u64> {
        let tenant = self.tenant(name);
        let Group { members, continuation, .. } = tenant.groups.remove(&group)?;
        tenant.member_of.retain(|id, _| !members.contains(id));
        tenant.remember(continuation.id, false, now_ms);
        tenant.totals.cancelled += 1;
        self.leave(name, continuation.id, true, now_ms);
        let groups = self.tenant(name).groups.iter();
        let inner = groups.filter(|(_, inner)| members.contains(&inner.continuation.id));
        for inner in inner.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.cancel_group(name, inner, now_ms);
        }
        for id in &members {
            self.cancel_one(name, *id, now_ms);
        }
        Some(members.len() as u64)
    }
}
