//! The waiting jobs of one skill, lane and priority, whose branches take turns.

use std::collections::{BTreeMap, VecDeque};

use super::state::{Id, Model};

/// Either one list, or, while several branches have jobs, one for each and the branches in turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) one: VecDeque<Id>,
    pub(crate) turns: VecDeque<usize>,
    pub(crate) branches: BTreeMap<usize, VecDeque<Id>>,
}

impl Line {
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.one.iter().chain(self.branches.values().flatten()).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.ids().count()
    }

    /// The list in which jobs of a branch are looked for.
    pub(crate) fn of(&self, branch: usize) -> Option<&VecDeque<Id>> {
        if self.turns.is_empty() { Some(&self.one) } else { self.branches.get(&branch) }
    }

    pub(crate) fn of_mut(&mut self, branch: usize) -> Option<&mut VecDeque<Id>> {
        if self.turns.is_empty() { Some(&mut self.one) } else { self.branches.get_mut(&branch) }
    }

    /// `there`: the branch of the jobs that are in the one list.
    fn push(&mut self, id: Id, branch: usize, first: bool, there: Option<usize>) {
        if self.turns.is_empty() && there.is_none_or(|there| there == branch) {
            if first {
                self.one.push_front(id);
            } else {
                self.one.push_back(id);
            }
            return;
        }
        if let Some(there) = there.filter(|_| self.turns.is_empty()) {
            self.branches.insert(there, std::mem::take(&mut self.one));
            self.turns.push_back(there);
        }
        if !self.branches.contains_key(&branch) {
            if first { self.turns.push_front(branch) } else { self.turns.push_back(branch) }
        }
        let list = self.branches.entry(branch).or_default();
        if first { list.push_front(id) } else { list.push_back(id) }
    }

    /// The job whose turn it is.
    pub(crate) fn head(&self) -> Option<Id> {
        match self.turns.front() {
            Some(branch) => self.branches[branch].front().copied(),
            None => self.one.front().copied(),
        }
    }

    /// Takes the job whose turn it is. The last branch that is left has the one list.
    pub(crate) fn pop(&mut self) {
        let Some(branch) = self.turns.pop_front() else {
            self.one.pop_front();
            return;
        };
        let list = self.branches.entry(branch).or_default();
        list.pop_front();
        if list.is_empty() {
            self.branches.remove(&branch);
        } else {
            self.turns.push_back(branch);
        }
        if let [last] = *self.turns.make_contiguous() {
            self.turns.clear();
            self.one = self.branches.remove(&last).unwrap_or_default();
        }
    }
}

impl Model {
    /// To the end of its list, or to the start.
    pub(super) fn put_in_line(&mut self, id: Id, first: bool) {
        let (key, branch) = (self.job(id).spec.list(), self.job(id).spec.branch);
        let head = self.lists.get(&key).and_then(Line::head);
        // A record that cannot be read names no branch.
        let there = head.map(|head| self.job(head)).map(|job| if job.damaged { 0 } else { job.spec.branch });
        self.lists.entry(key).or_default().push(id, branch, first, there);
    }
}
