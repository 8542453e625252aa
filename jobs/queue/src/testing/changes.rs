//! How jobs come into the queue in memory, and how they leave it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::answers::{ConflictDone, JobState, Kept, PushOutcome, UniqueConflict};
use crate::cancel::{CancelReport, Cancelled, Redriven};
use crate::encode;
use crate::finish::{Finish, OnFailure, OpenGroup, Verdict, WAITS};
use crate::id::PartitionId;
use crate::id::{GroupId, JobId};
use crate::job::{NewJob, OnConflict, Skill, Unique, UniqueScope, kind_of};
use crate::limits::{Flow, LimitReached};
use crate::testing::state::{Job, Place, State, Stop};
use crate::worker::worker_queue::FetchedJob;

impl State {
    /// Adds jobs; a job that is there already is left unchanged.
    pub(super) fn add(&mut self, jobs: &[NewJob], now_ms: i64) -> PushOutcome {
        let (unique, mut plain): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.unique.is_some());
        // The order in which they go to Redis: by where they go.
        plain.sort_by_key(|job| {
            let group = job.group.map(|group| group.to_string());
            let level = job.lane.level(job.priority);
            (job.partition.clone(), job.skill.clone(), level, encode::due_ms(job), group, job.branch.clone())
        });
        let mut outcome = PushOutcome::default();
        for job in unique.into_iter().chain(plain) {
            outcome.accepted += usize::from(self.add_one(job, &mut outcome.conflicts, now_ms));
        }
        outcome.duplicates = jobs.len() - outcome.accepted;
        outcome
    }

    /// Remembers which queue a skill belongs to.
    pub(super) fn note_skill(&mut self, skill: &Skill) {
        self.queue_of.entry(skill.to_string()).or_insert_with(|| skill.queue().to_owned());
    }

    fn add_one(&mut self, job: &NewJob, conflicts: &mut Vec<UniqueConflict>, now_ms: i64) -> bool {
        self.note_skill(&job.skill);
        if let Some(known) = self.jobs.get(&job.id) {
            if !known.is_kept() {
                self.join(job);
            }
            return false;
        }
        if let Some(unique) = &job.unique {
            return self.add_unique(job, unique, conflicts, now_ms);
        }
        self.insert(job, now_ms);
        true
    }

    /// A job that the queue does not have.
    pub(super) fn insert(&mut self, job: &NewJob, now_ms: i64) {
        self.jobs.insert(job.id, Job::new(job));
        self.put(job.id, JobState::Scheduled, encode::due_ms(job), now_ms);
        self.join(job);
    }

    fn add_unique(
        &mut self,
        job: &NewJob,
        unique: &Unique,
        conflicts: &mut Vec<UniqueConflict>,
        now_ms: i64,
    ) -> bool {
        let holder = self.key_holder(&job.partition, &unique.key, now_ms);
        let Some(existing) = holder.filter(|holder| *holder != job.id) else {
            self.insert(job, now_ms);
            self.take_key(job.id, unique, now_ms);
            return true;
        };
        let due_ms = encode::due_ms(job);
        let done = match unique.on_conflict {
            OnConflict::Reschedule if self.reschedule(existing, due_ms, now_ms) => ConflictDone::Rescheduled,
            OnConflict::Replace if self.replace(existing, job, now_ms) => ConflictDone::Replaced,
            _ => ConflictDone::Kept,
        };
        conflicts.push(UniqueConflict { id: job.id, existing, done });
        if done == ConflictDone::Replaced {
            self.take_key(job.id, unique, now_ms);
        }
        done == ConflictDone::Replaced
    }

    /// Changes the due time of a scheduled job. A job that waits for a worker is not postponed.
    fn reschedule(&mut self, id: JobId, due_ms: i64, now_ms: i64) -> bool {
        match self.jobs.get_mut(&id).map(|job| &mut job.place) {
            Some(Place::Timer(JobState::Scheduled | JobState::Retryable, due)) => {
                *due = due_ms.max(now_ms);
                true
            }
            _ => false,
        }
    }

    /// The new job takes the position of the job that holds its key, if that still waits.
    fn replace(&mut self, old: JobId, job: &NewJob, now_ms: i64) -> bool {
        let Some(known) = self.jobs.get(&old) else { return false };
        let same_list = known.skill == job.skill.as_str() && known.lane == job.lane;
        let same_list = same_list && known.priority == job.priority && known.branch == job.branch;
        let (place, key) = (known.place.clone(), known.list());
        let at = self.partitions.get(&job.partition).filter(|_| same_list).and_then(|partition| {
            let list = partition.lists.get(&key)?;
            Some((list.position(&job.branch, old)?, list.turns.clone()))
        });
        match place {
            Place::Active(_) | Place::Kept { .. } => return false,
            Place::Timer(_, due_ms) => {
                self.cancel_one(&job.partition, old, now_ms);
                self.insert(job, now_ms);
                self.take_out_of_line(job.id);
                if let Some(new) = self.jobs.get_mut(&job.id) {
                    new.place = Place::Timer(JobState::Scheduled, due_ms);
                }
            }
            Place::Waiting => {
                self.cancel_one(&job.partition, old, now_ms);
                self.insert(&NewJob { due: None, ..job.clone() }, now_ms);
                if let Some((at, turns)) = at {
                    self.take_out_of_line(job.id);
                    let list = self.partition(&job.partition).lists.entry(key).or_default();
                    list.insert(job.branch.clone(), at, job.id);
                    list.turns = turns;
                }
            }
        }
        true
    }

    /// Removes a job from its list.
    pub(super) fn take_out_of_line(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (name, key, branch) = (job.partition.clone(), job.list(), job.branch.clone());
        if let Some(list) = self.partition(&name).lists.get_mut(&key) {
            list.remove(&branch, id);
        }
    }
}

impl State {
    /// Ends a job. `false` when the claim is not its present one: nothing is done then.
    pub(super) fn finish(&mut self, job: &FetchedJob, finish: &Finish, now_ms: i64) -> bool {
        let (partition, id) = (&job.partition, job.id);
        let current = Place::Active(job.fence);
        if self.jobs.get(&id).is_none_or(|known| known.partition != *partition || known.place != current) {
            return false;
        }
        self.partition(partition).active.remove(&id);
        let stop = self.jobs.get(&id).map(|job| job.stop).unwrap_or_default();
        let verdict = &finish.verdict;
        let discarded = matches!(verdict, Verdict::Discarded { .. });
        if stop.is_wanted() && (discarded || !verdict.is_final()) {
            // A job cancelled meanwhile is not retried, and not kept as a dead letter.
            self.called_off(partition, id, now_ms);
        } else if verdict.is_final() {
            self.ends(partition, id, verdict, now_ms);
            if let Some(group) = &finish.group {
                self.open_group(group);
            }
            self.add(&finish.children, now_ms);
            let failed = *verdict != Verdict::Completed;
            self.leave(partition, id, failed, now_ms);
            if let Some(group) = &finish.group {
                self.close_if_empty(partition, group.id, now_ms);
            }
        } else {
            self.comes_back(partition, id, verdict, now_ms);
        }
        self.forget_if_done(job.fence);
        self.settle(now_ms);
        true
    }

    fn ends(&mut self, name: &PartitionId, id: JobId, verdict: &Verdict, now_ms: i64) {
        match verdict {
            Verdict::Discarded { code, reason } => {
                self.keep(id, Kept::Discarded, encode::reason_line(code, '\n', reason), now_ms);
            }
            Verdict::Quarantined { code, reason } => {
                self.keep(id, Kept::Quarantined, encode::reason_line(code, '\n', reason), now_ms);
            }
            _ => {
                let completed = *verdict == Verdict::Completed;
                self.free_key(id);
                self.jobs.remove(&id);
                let partition = self.partition(name);
                partition.remember(id, completed);
                if completed {
                    partition.totals.completed += 1;
                    // The partition may run after all.
                    partition.hold_ms = if partition.hold_ms > now_ms { 0 } else { partition.hold_ms };
                } else {
                    partition.totals.cancelled += 1;
                }
            }
        }
    }

    fn comes_back(&mut self, name: &PartitionId, id: JobId, verdict: &Verdict, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match verdict {
            Verdict::Retry { after, error } => {
                job.attempts += 1;
                job.note = encode::reason_line("retry", ' ', error);
                let due_ms = now_ms + i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2);
                self.put(id, JobState::Retryable, due_ms, now_ms);
            }
            Verdict::Waiting { after, reason } => {
                job.parks += 1;
                job.note = encode::reason_line(WAITS, ' ', reason);
                let due_ms = now_ms + i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2);
                self.put(id, JobState::Retryable, due_ms, now_ms);
            }
            Verdict::Parked { reason } => {
                job.parks += 1;
                job.note = encode::reason_line("parked", ' ', reason);
                let due_ms = now_ms + (1_000 * i64::from(job.parks)).min(5_000);
                // The partition's other jobs need not find out one by one.
                let partition = self.partition(name);
                partition.hold_ms = partition.hold_ms.max(due_ms);
                self.put(id, JobState::Parked, due_ms, now_ms);
            }
            _ => {
                job.interruptions += 1;
                self.put_in_line(id, true);
            }
        }
    }
}

impl State {
    /// Cancels a job: a waiting job is removed at once, a running job receives a stop signal.
    pub(super) fn cancel_one(&mut self, partition: &PartitionId, id: JobId, now_ms: i64) -> Cancelled {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.partition == *partition) else {
            return Cancelled::NotFound;
        };
        match job.place {
            Place::Kept { .. } => Cancelled::Kept,
            Place::Active(_) if job.stop.with_partition => Cancelled::NotFound,
            Place::Active(_) => {
                job.stop.cancelled = true;
                job.tell_to_stop();
                Cancelled::Stopping
            }
            Place::Waiting | Place::Timer(..) => {
                self.called_off(partition, id, now_ms);
                Cancelled::Now
            }
        }
    }

    /// Removes a job as cancelled.
    pub(super) fn called_off(&mut self, name: &PartitionId, id: JobId, now_ms: i64) {
        self.partition(name).remember(id, false);
        self.remove(name, id);
        self.leave(name, id, true, now_ms);
    }

    fn remove(&mut self, name: &PartitionId, id: JobId) {
        self.take_out_of_line(id);
        self.free_key(id);
        self.jobs.remove(&id);
        self.partition(name).totals.cancelled += 1;
    }

    /// Everything of a partition that has not ended.
    pub(super) fn cancel_partition(&mut self, name: &PartitionId, now_ms: i64) -> CancelReport {
        for group in self.partition(name).groups.values_mut() {
            group.called_off = true;
        }
        let mut report = CancelReport::default();
        let mut waiting = Vec::new();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.partition == *name) {
            match job.place {
                Place::Kept { .. } => {}
                Place::Active(_) => {
                    job.stop.with_partition = true;
                    job.tell_to_stop();
                    report.stopping += 1;
                }
                Place::Waiting | Place::Timer(..) => waiting.push(*id),
            }
        }
        report.cancelled = waiting.len() as u64;
        // All of them are removed before their groups are notified. Their ids are not remembered: there may be many.
        for id in &waiting {
            self.remove(name, *id);
        }
        for id in waiting {
            self.leave(name, id, true, now_ms);
        }
        report
    }
}

/// Member jobs, and the continuation that starts when they are done.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeSet<JobId>,
    pub(super) continuation: NewJob,
    on_failure: OnFailure,
    /// All work of its partition was cancelled after it had been opened.
    pub(super) called_off: bool,
}

impl State {
    pub(super) fn open_group(&mut self, group: &OpenGroup) {
        let OpenGroup { id, continuation, on_failure } = group.clone();
        let (partition, on_failure) = (continuation.partition.clone(), on_failure);
        self.note_skill(&continuation.skill);
        self.partition(&partition).groups.entry(id).or_insert_with(|| Group {
            members: BTreeSet::new(),
            continuation,
            on_failure,
            called_off: false,
        });
        self.join(&group.continuation);
    }

    /// The job becomes a member of its group, if that is still open and the job is in no other.
    pub(super) fn join(&mut self, job: &NewJob) {
        let Some(group) = job.group else { return };
        let partition = self.partition(&job.partition);
        if let Some(open) = partition.groups.get_mut(&group)
            && !partition.member_of.contains_key(&job.id)
        {
            open.members.insert(job.id);
            partition.member_of.insert(job.id, group);
        }
    }

    /// A job has reached a final state.
    pub(super) fn leave(&mut self, name: &PartitionId, id: JobId, failed: bool, now_ms: i64) {
        let partition = self.partition(name);
        let Some(group) = partition.member_of.remove(&id) else { return };
        let Some(open) = partition.groups.get_mut(&group) else { return };
        if !open.members.remove(&id) {
            return;
        }
        if failed && open.on_failure == OnFailure::Cancel {
            self.cancel_group(name, group, now_ms);
        } else {
            self.close_if_empty(name, group, now_ms);
        }
    }

    /// Enqueues the continuation when no member is left. The group is removed then, so this cannot happen twice.
    pub(super) fn close_if_empty(&mut self, name: &PartitionId, group: GroupId, now_ms: i64) {
        let groups = &mut self.partition(name).groups;
        if groups.get(&group).is_none_or(|open| !open.members.is_empty()) {
            return;
        }
        let Some(Group { continuation, called_off, .. }) = groups.remove(&group) else { return };
        if called_off {
            self.partition(name).totals.cancelled += 1;
            self.leave(name, continuation.id, true, now_ms);
            return;
        }
        match self.jobs.get(&continuation.id).map(|job| &job.place) {
            None => self.insert(&continuation, now_ms),
            // It was there before and has ended; for the outer group it counts as done.
            Some(Place::Kept { .. }) => self.leave(name, continuation.id, true, now_ms),
            Some(_) => {}
        }
    }

    /// Cancels a group: its continuation, every member that has not ended, and the groups that members wait
    /// for. How many members there were.
    pub(super) fn cancel_group(&mut self, name: &PartitionId, group: GroupId, now_ms: i64) -> Option<u64> {
        let partition = self.partition(name);
        let Group { members, continuation, .. } = partition.groups.remove(&group)?;
        partition.member_of.retain(|id, _| !members.contains(id));
        partition.remember(continuation.id, false);
        partition.totals.cancelled += 1;
        self.leave(name, continuation.id, true, now_ms);
        let groups = self.partition(name).groups.iter();
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

/// The job that holds a unique key, and until when if the key outlives the job.
#[derive(Debug)]
pub(super) struct KeyHolder {
    job: JobId,
    until_ms: Option<i64>,
}

impl State {
    /// The job that holds a key. A job cancelled with its whole partition holds none any more.
    pub(super) fn key_holder(&self, partition: &PartitionId, key: &str, now_ms: i64) -> Option<JobId> {
        let holder = self.partitions.get(partition)?.keys.get(key)?;
        let holds = match holder.until_ms {
            Some(until_ms) => now_ms < until_ms,
            None => self.jobs.get(&holder.job).is_some_and(|job| !job.stop.with_partition),
        };
        holds.then_some(holder.job)
    }

    pub(super) fn take_key(&mut self, id: JobId, unique: &Unique, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let until_ms = match unique.scope {
            UniqueScope::Period(period) => {
                Some(now_ms.saturating_add(i64::try_from(period.as_millis()).unwrap_or(i64::MAX)))
            }
            UniqueScope::UntilStarted | UniqueScope::UntilFinished => None,
        };
        job.key = Some((unique.scope, unique.key.clone()));
        let name = job.partition.clone();
        self.partition(&name).keys.insert(unique.key.clone(), KeyHolder { job: id, until_ms });
    }

    /// Frees the key of a job that has ended, unless it was taken for a period.
    pub(super) fn free_key(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some((scope, key)) = job.key.clone() else { return };
        let name = job.partition.clone();
        let keys = &mut self.partition(&name).keys;
        if !matches!(scope, UniqueScope::Period(_)) && keys.get(&key).is_some_and(|holder| holder.job == id) {
            keys.remove(&key);
        }
    }

    /// A job has started.
    pub(super) fn free_key_at_start(&mut self, id: JobId) {
        let scope = self.jobs.get(&id).and_then(|job| job.key.as_ref()).map(|(scope, _)| *scope);
        if scope == Some(UniqueScope::UntilStarted) {
            self.free_key(id);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.key = None;
            }
        }
    }

    /// A job that is kept starts again, with its key.
    pub(super) fn redrive(&mut self, partition: &PartitionId, id: JobId, now_ms: i64) -> Redriven {
        let Some(job) = self.jobs.get(&id).filter(|job| job.partition == *partition && job.is_kept()) else {
            return Redriven::NotFound;
        };
        if let Some((_, key)) = job.key.clone().filter(|(scope, _)| !matches!(scope, UniqueScope::Period(_)))
        {
            if self.key_holder(partition, &key, now_ms).is_some_and(|holder| holder != id) {
                return Redriven::KeyTaken;
            }
            self.partition(partition).keys.insert(key, KeyHolder { job: id, until_ms: None });
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            (job.attempts, job.deaths, job.parks, job.stop) = (0, 0, 0, Stop::default());
            job.note.clear();
            job.redriven = true;
        }
        self.put_in_line(id, false);
        Redriven::Started
    }
}

impl State {
    /// The limit that keeps a partition from adding its part of `jobs`. Jobs that the queue has already do not count.
    pub(super) fn refusal(
        &self,
        partition: &PartitionId,
        jobs: &[NewJob],
        now_ms: i64,
    ) -> Option<LimitReached> {
        let known = self.partitions.get(partition);
        let mine = || jobs.iter().filter(|job| job.partition == *partition);
        let drains = |flow: Option<&Flow>| flow == Some(&Flow::Draining);
        let drains = if known.is_some_and(|known| known.draining) {
            Some("tenant_draining")
        } else if mine().any(|job| drains(self.flows.get(job.skill.queue()))) {
            Some("queue_draining")
        } else {
            let own = |job: &NewJob| known.is_some_and(|known| drains(known.flows.get(job.skill.queue())));
            mine().any(own).then_some("tenant_queue_draining")
        };
        if let Some(limit) = drains {
            return Some(limit_reached(partition, limit, 0, 0));
        }
        let new: Vec<_> = mine().filter(|job| !self.jobs.contains_key(&job.id)).collect();
        let scheduled = new.iter().filter(|job| encode::due_ms(job) > now_ms).count() as u64;
        let bytes: usize = new.iter().map(|job| encode::fresh(job).len()).sum();
        self.over_quota(partition, new.len() as u64, bytes as u64, scheduled)
    }

    fn over_quota(
        &self,
        partition: &PartitionId,
        jobs: u64,
        bytes: u64,
        scheduled: u64,
    ) -> Option<LimitReached> {
        let quotas = &self.partitions.get(partition)?.quotas;
        let open = || self.jobs.values().filter(|job| job.partition == *partition && !job.is_kept());
        let waiting = open().filter(|job| !matches!(job.place, Place::Active(_))).count() as u64;
        let weight: u64 = open().map(Job::size_bytes).sum();
        let timed = |place: &Place| matches!(place, Place::Timer(JobState::Scheduled, _));
        let later = open().filter(|job| timed(&job.place)).count() as u64;
        let limits = [
            ("backlog_jobs", quotas.jobs, waiting, jobs),
            ("backlog_bytes", quotas.bytes, weight, bytes),
            ("scheduled_jobs", quotas.scheduled, later, scheduled),
        ];
        let over = |(_, maximum, current, more): &(_, u64, u64, u64)| {
            *maximum > 0 && *more > 0 && current + more > *maximum
        };
        let (limit, maximum, current, _) = limits.into_iter().find(over)?;
        (jobs > 0).then(|| limit_reached(partition, limit, current, maximum))
    }

    /// The skills whose queue is not paused, of those that a worker serves.
    pub(super) fn flowing(&self, skills: Vec<String>) -> Vec<String> {
        let paused = |skill: &String| {
            self.queue_of.get(skill).is_some_and(|queue| self.flows.get(queue) == Some(&Flow::Paused))
        };
        skills.into_iter().filter(|skill| !paused(skill)).collect()
    }

    /// How many jobs of a skill the partition may start now, beside its cap and its rate.
    pub(super) fn room(&self, name: &PartitionId, skill: &str) -> usize {
        let Some(partition) = self.partitions.get(name) else { return 0 };
        let flow = self.queue_of.get(skill).and_then(|queue| partition.flows.get(queue));
        if flow == Some(&Flow::Paused) {
            return 0;
        }
        let Some(cap) = partition.type_caps.get(kind_of(skill)) else { return usize::MAX };
        let same = |id| self.jobs.get(id).is_some_and(|job| job.kind() == kind_of(skill));
        cap.saturating_sub(partition.active.iter().filter(|id| same(*id)).count())
    }
}

/// The queue on Redis guesses when there is room again; here it is always a second.
fn limit_reached(partition: &PartitionId, limit: &str, current: u64, maximum: u64) -> LimitReached {
    let (partition, limit) = (partition.clone(), limit.to_owned());
    LimitReached { partition, limit, current, maximum, retry_after: Duration::from_secs(1) }
}
