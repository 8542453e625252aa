//! Jobs for commands.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{GroupId, JobId, Lane, OnConflict, Priority, UniqueScope};

use super::Run;
use crate::model::commands::{Answer, Scope};
use crate::model::plain::{Id, Job, Spec, UniqueSpec};
use crate::model::world::{self, BRANCHES};
use crate::support::{EnqueueOptions, Unique};

/// How a job that is made differs from the usual.
#[derive(Clone, Copy, Default)]
pub(super) struct Make {
    pub(super) id: Option<Id>,
    pub(super) level: Option<u8>,
    pub(super) branch: usize,
    pub(super) delay_ms: u64,
    pub(super) group: Option<GroupId>,
    pub(super) unique: Option<(usize, Scope, Answer)>,
}

impl Run {
    pub(super) fn make_chain(&mut self, tenant: usize, length: usize) -> Vec<Id> {
        let mut ids = Vec::new();
        for number in 0..length {
            let id = self.fresh_id();
            ids.push(self.make(tenant, number % 2, Make { id: Some(id), ..Make::default() }));
        }
        for id in &ids {
            let job = self.made.get_mut(id).expect("it was made above");
            job.group = Some(GroupId::after(*id));
            self.model.job_mut(*id).spec.group = job.group;
        }
        ids
    }

    pub(super) fn make(&mut self, tenant: usize, skill: usize, make: Make) -> Id {
        let Make { id, level, branch, delay_ms, group, unique } = make;
        let id = id.unwrap_or_else(|| self.fresh_id());
        let due = self.h.clock.now() + Duration::from_millis(delay_ms);
        let level = level.unwrap_or(1);
        let lane = if level < 4 { Lane::Interactive } else { Lane::Bulk };
        let options = EnqueueOptions {
            id: Some(id),
            scheduled_at: (delay_ms > 0).then_some(due),
            lane,
            priority: Some(Priority::from_level(u32::from(level % 4))),
            branch: BRANCHES[branch],
            group,
            unique: unique.map(unique_of),
        };
        let job = world::job(&self.h, tenant, skill, options);
        let wire_bytes = job.payload.len();
        let key = job.unique.as_ref().map(|unique| unique.key.clone()).unwrap_or_default();
        let unique = unique.map(|(_, scope, answer)| UniqueSpec { digest: key, scope, answer });
        let due = if delay_ms > 0 { due.timestamp_millis().unsigned_abs() } else { 0 };
        self.model.add(id, Job::new(Spec { tenant, skill, level, branch, due, group, unique, wire_bytes }));
        self.made.insert(id, job);
        id
    }

    /// The same in every run of a script.
    pub(super) fn fresh_id(&mut self) -> Id {
        let number = self.made.len() + self.model.claims.len() * 100_000;
        let seed = format!("{number} {:?}", self.h.clock.now());
        let mut id = JobId::derived(self.h.clock.now(), &seed);
        while self.made.contains_key(&id) {
            id = JobId::derived(self.h.clock.now(), &format!("{id}"));
        }
        id
    }
}

fn unique_of((key, scope, answer): (usize, Scope, Answer)) -> Unique {
    let scope = match scope {
        Scope::Started => UniqueScope::UntilStarted,
        Scope::Finished => UniqueScope::UntilFinished,
        Scope::Period(ms) => UniqueScope::Period(Duration::from_millis(ms)),
    };
    let on_conflict = match answer {
        Answer::Keep => OnConflict::Keep,
        Answer::Replace => OnConflict::Replace,
        Answer::Reschedule => OnConflict::Reschedule,
    };
    Unique::numbered(key, scope).on_conflict(on_conflict)
}
