use std::collections::BTreeSet;

use super::job::Job;
use super::state::State;
use crate::envelope::StampedJob;
use crate::id::{GroupId, JobId};
use crate::queue::finish::OpenGroup;
use crate::queue::push;
use crate::queue::status::JobState;
use crate::tenant::TenantId;

/// Jobs, and the one that starts when they are done.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeSet<JobId>,
    continuation: StampedJob,
}

impl State {
    pub(super) fn open_group(&mut self, tenant: &TenantId, group: &OpenGroup) {
        let OpenGroup { id, continuation, .. } = group.clone();
        let outer = continuation.group;
        let continues = continuation.id;
        let open = || Group { members: BTreeSet::new(), continuation };
        self.tenant(tenant).groups.entry(id).or_insert_with(open);
        if let Some(outer) = outer {
            self.join_ahead(tenant, outer, continues);
        }
    }

    /// A job has reached a final state.
    pub(super) fn leave(&mut self, tenant: &TenantId, id: JobId, now_ms: i64) {
        let Some(group) = self.jobs.get_mut(&id).and_then(|job| job.group.take()) else { return };
        let open = self.tenant(tenant).groups.get_mut(&group);
        if open.is_some_and(|open| open.members.remove(&id)) {
            self.close_if_empty(tenant, group, now_ms);
        }
    }

    /// Enqueues the continuation when nobody is left. The group is gone then, so it cannot happen twice.
    pub(super) fn close_if_empty(&mut self, tenant: &TenantId, group: GroupId, now_ms: i64) {
        let groups = &mut self.tenant(tenant).groups;
        if groups.get(&group).is_none_or(|open| !open.members.is_empty()) {
            return;
        }
        let Some(Group { continuation, .. }) = groups.remove(&group) else { return };
        if self.jobs.contains_key(&continuation.id) {
            return;
        }
        // It has been a member of its own group, if it has one, since this group was opened.
        let job = Job { group: continuation.group, ..Job::new(&continuation) };
        self.jobs.insert(continuation.id, job);
        self.put(continuation.id, JobState::Scheduled, push::due_ms(&continuation), now_ms);
    }
}
