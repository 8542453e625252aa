//! Jobs that come in.

use super::job::{Job, Place};
use super::state::State;
use crate::envelope::{OnConflict, StampedJob, UniquePolicy};
use crate::id::JobId;
use crate::queue::push;
use crate::queue::status::{ConflictDone, JobState, PushOutcome, UniqueConflict};

impl State {
    /// Adds jobs; one that is there is left alone.
    pub(super) fn add(&mut self, jobs: &[StampedJob], now_ms: i64) -> PushOutcome {
        let (unique, mut plain): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.unique.is_some());
        // The order in which they go to Redis: by where they go.
        plain.sort_by_key(|job| {
            let group = job.group.map(|group| group.to_string());
            (job.tenant.clone(), job.lane.clone(), job.priority, push::due_ms(job), group)
        });
        let mut outcome = PushOutcome::default();
        for job in unique.into_iter().chain(plain) {
            outcome.accepted += usize::from(self.add_one(job, &mut outcome.conflicts, now_ms));
        }
        outcome.duplicates = jobs.len() - outcome.accepted;
        outcome
    }

    fn add_one(&mut self, job: &StampedJob, conflicts: &mut Vec<UniqueConflict>, now_ms: i64) -> bool {
        self.queue_of.entry(job.lane.clone()).or_insert_with(|| job.queue.clone());
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
    pub(super) fn insert(&mut self, job: &StampedJob, now_ms: i64) {
        self.jobs.insert(job.id, Job::new(job));
        self.put(job.id, JobState::Scheduled, push::due_ms(job), now_ms);
        self.join(job);
    }

    fn add_unique(
        &mut self,
        job: &StampedJob,
        unique: &UniquePolicy,
        conflicts: &mut Vec<UniqueConflict>,
        now_ms: i64,
    ) -> bool {
        let holder = self.key_holder(&job.tenant, &unique.digest, now_ms);
        let Some(existing) = holder.filter(|holder| *holder != job.id) else {
            self.insert(job, now_ms);
            self.take_key(job.id, unique, now_ms);
            return true;
        };
        let due_ms = push::due_ms(job);
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

    /// A job that waits for its time waits for another one. One that waits for a worker is not put off.
    fn reschedule(&mut self, id: JobId, due_ms: i64, now_ms: i64) -> bool {
        match self.jobs.get_mut(&id).map(|job| &mut job.place) {
            Some(Place::Timer(JobState::Scheduled | JobState::Retryable, due)) => {
                *due = due_ms.max(now_ms);
                true
            }
            _ => false,
        }
    }

    /// The new job takes the place of the one that has its key, if that still waits.
    fn replace(&mut self, old: JobId, job: &StampedJob, now_ms: i64) -> bool {
        let Some(known) = self.jobs.get(&old) else { return false };
        let same_list = known.lane == job.lane && known.priority == job.priority;
        let (place, key) = (known.place.clone(), (known.lane.clone(), known.priority.level()));
        let at = self.tenants.get(&job.tenant).and_then(|tenant| {
            tenant.lists.get(&key)?.iter().position(|id| *id == old).filter(|_| same_list)
        });
        match place {
            Place::Active(_) | Place::Kept { .. } => return false,
            Place::Timer(_, due_ms) => {
                self.cancel_one(&job.tenant, old, now_ms);
                self.insert(job, now_ms);
                self.take_out_of_line(job.id);
                if let Some(new) = self.jobs.get_mut(&job.id) {
                    new.place = Place::Timer(JobState::Scheduled, due_ms);
                }
            }
            Place::Waiting => {
                self.cancel_one(&job.tenant, old, now_ms);
                self.insert(&StampedJob { due: None, ..job.clone() }, now_ms);
                if let Some(at) = at {
                    self.take_out_of_line(job.id);
                    self.tenant(&job.tenant).lists.entry(key).or_default().insert(at, job.id);
                }
            }
        }
        true
    }

    /// Takes a job out of the list that it waits in.
    pub(super) fn take_out_of_line(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (name, key) = (job.tenant.clone(), (job.lane.clone(), job.priority.level()));
        if let Some(list) = self.tenant(&name).lists.get_mut(&key) {
            list.retain(|waiting| *waiting != id);
        }
    }
}
