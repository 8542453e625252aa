//! How jobs come in.

use std::collections::BTreeSet;

use fair_queue::GroupId;

use super::state::{Group, Id, Job, Model, Place, Timer};
use crate::model::commands::Answer;
use crate::model::world::{BRANCHES, SKILLS, TENANTS};

/// A part of a call, as `push.rs` makes them.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Group { group: GroupId, continuation: Id, cancels: bool },
    Jobs(Vec<Id>),
    Unique(Id),
}

impl Block {
    pub(super) fn jobs(&self) -> Vec<Id> {
        match self {
            Self::Group { .. } => Vec::new(),
            Self::Jobs(ids) => ids.clone(),
            Self::Unique(id) => vec![*id],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) tenant: usize,
    pub(crate) limit: String,
    pub(crate) current: u64,
    pub(crate) maximum: u64,
}

/// The new job, the job that holds its key, and the outcome.
pub(crate) type Conflict = (Id, Id, &'static str);

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Enqueued {
    pub(crate) accepted: usize,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) refused: Vec<Refused>,
}

impl Model {
    /// The blocks of a call: each unique job has its own, other jobs with the same route share one.
    pub(crate) fn blocks(&self, ids: &[Id]) -> Vec<Block> {
        let (unique, plain): (Vec<Id>, _) = ids.iter().partition(|&&id| self.job(id).spec.unique.is_some());
        let mut blocks: Vec<_> = unique.into_iter().map(Block::Unique).collect();
        let mut routes: std::collections::BTreeMap<_, Vec<Id>> = std::collections::BTreeMap::new();
        for id in plain {
            let spec = &self.job(id).spec;
            let group = spec.group.map_or_else(String::new, |group| group.to_string());
            let branch = BRANCHES[spec.branch];
            let route = (TENANTS[spec.tenant], SKILLS[spec.skill].name, spec.level, spec.due, group, branch);
            routes.entry(route).or_default().push(id);
        }
        blocks.extend(routes.into_values().map(Block::Jobs));
        blocks
    }

    /// One call.
    pub(crate) fn enqueue(&mut self, checked: bool, blocks: &[Block]) -> Enqueued {
        let mut done = Enqueued::default();
        let mut tenants = Vec::new();
        for block in blocks {
            let tenant = self.tenant_of_block(block);
            if !tenants.contains(&tenant) {
                tenants.push(tenant);
            }
        }
        if checked {
            done.refused = tenants.iter().filter_map(|&tenant| self.refusal(tenant, blocks)).collect();
        }
        let refused: BTreeSet<usize> = done.refused.iter().map(|refused| refused.tenant).collect();
        let blocks = blocks.iter().filter(|block| !refused.contains(&self.tenant_of_block(block)));
        let blocks: Vec<Block> = blocks.cloned().collect();
        let opened = self.enqueue_blocks(&blocks, &mut done);
        self.close_opened(&opened);
        done
    }

    fn tenant_of_block(&self, block: &Block) -> usize {
        match block {
            Block::Group { continuation, .. } => self.tenant_of(*continuation),
            Block::Jobs(ids) => self.tenant_of(ids[0]),
            Block::Unique(id) => self.tenant_of(*id),
        }
    }

    /// Says which groups were opened.
    pub(super) fn enqueue_blocks(&mut self, blocks: &[Block], done: &mut Enqueued) -> Vec<(usize, GroupId)> {
        let mut opened = Vec::new();
        for block in blocks {
            match block {
                Block::Group { group, continuation, cancels } => {
                    opened.push(self.open_group(*group, *continuation, *cancels));
                }
                Block::Jobs(ids) => done.accepted += self.enqueue_plain(ids),
                Block::Unique(id) => done.accepted += self.enqueue_unique(*id, &mut done.conflicts),
            }
        }
        opened
    }

    pub(super) fn close_opened(&mut self, opened: &[(usize, GroupId)]) {
        for &(tenant, group) in opened {
            if self.groups.contains_key(&(tenant, group)) {
                self.group_close(tenant, group);
            }
        }
    }

    fn open_group(&mut self, group: GroupId, continuation: Id, cancels: bool) -> (usize, GroupId) {
        let tenant = self.tenant_of(continuation);
        let epoch = self.tenants[tenant].epoch;
        let new =
            Group { members: std::collections::BTreeMap::new(), continuation, epoch, cancels, failed: 0 };
        self.groups.entry((tenant, group)).or_insert(new);
        if let Some(outer) = self.job(continuation).spec.group {
            self.group_join(outer, continuation, Some(group));
        }
        (tenant, group)
    }

    /// An id that the queue has joins its group unless it has ended.
    fn enqueue_known(&mut self, id: Id) {
        if let Some(group) = self.job(id).spec.group
            && !matches!(self.job(id).place, Place::Kept(..))
        {
            self.group_join(group, id, None);
        }
    }

    fn enqueue_plain(&mut self, ids: &[Id]) -> usize {
        let known: Vec<bool> = ids.iter().map(|&id| self.job(id).place.is_known()).collect();
        let ghosts: Vec<bool> = ids.iter().map(|id| self.ghosts.contains_key(id)).collect();
        let mut new = Vec::new();
        for (index, &id) in ids.iter().enumerate() {
            if known[index] || new.contains(&id) {
                self.enqueue_known(id);
            } else if !ghosts[index] {
                new.push(id);
                if let Some(group) = self.job(id).spec.group {
                    self.group_join(group, id, None);
                }
            }
        }
        for &id in &new {
            self.renew_job(id);
            self.weigh_in(id);
            self.put(id, self.job(id).spec.due);
        }
        new.len()
    }

    /// As it is when it was just pushed.
    fn renew_job(&mut self, id: Id) {
        let job = self.job(id);
        let (group, key) = (job.group, job.key.clone());
        let epoch = self.tenants[job.spec.tenant].epoch;
        *self.job_mut(id) = Job { epoch, group, key, ..Job::new(self.job(id).spec.clone()) };
    }

    fn enqueue_unique(&mut self, id: Id, conflicts: &mut Vec<Conflict>) -> usize {
        if self.job(id).place.is_known() {
            self.enqueue_known(id);
            return 0;
        }
        if self.ghosts.contains_key(&id) {
            return 0;
        }
        let spec = self.job(id).spec.clone();
        let unique = spec.unique.expect("only unique jobs have such a block");
        match self.lock(id, unique.scope, &unique.digest) {
            None => {
                self.renew_job(id);
                self.put(id, spec.due);
            }
            Some(holder) => {
                let done = match unique.answer {
                    Answer::Reschedule if self.reschedule(holder, spec.due) => "rescheduled",
                    Answer::Replace if self.replace(id, holder) => "replaced",
                    _ => "kept",
                };
                conflicts.push((id, holder, done));
                if done != "replaced" {
                    return 0;
                }
                self.keys.remove(&(spec.tenant, unique.digest.clone()));
                let place = self.job(id).place;
                self.renew_job(id);
                self.job_mut(id).place = place;
                self.lock(id, unique.scope, &unique.digest);
            }
        }
        self.weigh_in(id);
        if let Some(group) = spec.group {
            self.group_join(group, id, None);
        }
        1
    }

    /// A letter: o = waits until then, w = waits for no time, runs or is kept, n = not there.
    pub(crate) fn reschedule_one(&mut self, tenant: usize, id: Id, due: u64) -> char {
        let Some(job) = self.jobs.get(&id).filter(|job| job.spec.tenant == tenant) else { return 'n' };
        let is_there = job.place.is_known() && job.place != Place::Garbage && !job.damaged;
        if !is_there || job.epoch != self.tenants[tenant].epoch {
            return 'n';
        }
        if self.reschedule(id, due) { 'o' } else { 'w' }
    }

    fn reschedule(&mut self, holder: Id, due: u64) -> bool {
        match self.job(holder).place {
            Place::Timer(timer @ (Timer::Scheduled | Timer::Retryable), _) => {
                self.wait_until(holder, timer, due.max(self.now));
                true
            }
            _ => false,
        }
    }

    /// The new job takes the position and the time of a job that still waits.
    fn replace(&mut self, id: Id, old: Id) -> bool {
        if !self.is_replaceable(old) {
            return false;
        }
        let (place, old_list, list) = (self.job(old).place, self.list_of(old), self.list_of(id));
        let tenant = self.tenant_of(id);
        let branch = self.job(id).spec.branch;
        let is_same = old_list == list && self.job(old).spec.branch == branch;
        let mut same = self.lists.get_mut(&list).filter(|_| place == Place::Waiting && is_same);
        let same = same.as_mut().and_then(|line| line.of_mut(branch));
        let mut at = None;
        if let Some(waiting) = same.and_then(|list| list.iter_mut().find(|waiting| **waiting == old)) {
            (*waiting, at) = (id, Some(()));
        }
        self.cancel(tenant, &[old]);
        match (at, place) {
            (Some(()), _) => {
                self.ghosts.remove(&old);
                self.job_mut(id).place = Place::Waiting;
            }
            (None, Place::Timer(_, due)) => self.wait_until(id, Timer::Scheduled, due),
            (None, _) => self.line_up(id, false),
        }
        true
    }

    fn list_of(&self, id: Id) -> (usize, usize, u8) {
        self.job(id).spec.list()
    }
}
