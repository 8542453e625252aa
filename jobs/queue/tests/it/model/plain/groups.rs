//! Groups: the continuation starts, or is cancelled, exactly once.

use fair_queue::GroupId;

use super::state::{Group, Id, Job, Model, Place};

impl Model {
    pub(super) fn group_join(&mut self, group: GroupId, id: Id, inner: Option<GroupId>) {
        let tenant = self.tenant_of(id);
        if self.job(id).group.is_some() {
            return;
        }
        if let Some(open) = self.groups.get_mut(&(tenant, group)) {
            open.members.insert(id, inner);
            self.job_mut(id).group = Some(group);
        }
    }

    /// Starts the continuation if no member is left.
    pub(super) fn group_close(&mut self, tenant: usize, group: GroupId) {
        if !self.groups[&(tenant, group)].members.is_empty() {
            return;
        }
        let Some(Group { continuation: id, epoch, .. }) = self.groups.remove(&(tenant, group)) else {
            return;
        };
        if epoch != self.tenants[tenant].epoch {
            self.tenants[tenant].outcomes[1] += 1;
            self.group_leave(id, true);
            return;
        }
        let kept = matches!(self.job(id).place, Place::Kept(..));
        if kept || self.ghosts.contains_key(&id) {
            self.group_leave(id, true);
            return;
        }
        if self.job(id).place.is_known() {
            return;
        }
        let (group, key) = (self.job(id).group, self.job(id).key.clone());
        *self.job_mut(id) = Job { epoch, group, key, ..Job::new(self.job(id).spec.clone()) };
        self.weigh_in(id);
        self.put(id, self.job(id).spec.due);
    }

    /// The job has reached a final state.
    pub(super) fn group_leave(&mut self, id: Id, failed: bool) {
        let tenant = self.tenant_of(id);
        let Some(group) = self.job_mut(id).group.take() else { return };
        let Some(open) = self.groups.get_mut(&(tenant, group)) else { return };
        if open.members.remove(&id).is_none() {
            return;
        }
        if failed {
            open.failed += 1;
            if open.cancels {
                self.group_cancel(tenant, group);
                return;
            }
        }
        self.group_close(tenant, group);
    }

    /// Cancels a group. Returns how many members had not ended.
    pub(super) fn group_cancel(&mut self, tenant: usize, group: GroupId) -> usize {
        let Some(open) = self.groups.remove(&(tenant, group)) else { return 0 };
        for &id in open.members.keys() {
            self.job_mut(id).group = None;
        }
        let id = open.continuation;
        self.tenants[tenant].ended.insert(id, false);
        self.tenants[tenant].outcomes[1] += 1;
        self.group_leave(id, true);
        for inner in open.members.values().flatten() {
            self.group_cancel(tenant, *inner);
        }
        let members: Vec<Id> = open.members.keys().copied().collect();
        self.cancel(tenant, &members);
        members.len()
    }

    /// The queue's answer to a caller that cancels a group.
    pub(crate) fn cancel_group(&mut self, tenant: usize, group: GroupId) -> Option<u64> {
        let open = self.groups.contains_key(&(tenant, group));
        open.then(|| self.group_cancel(tenant, group) as u64)
    }
}
