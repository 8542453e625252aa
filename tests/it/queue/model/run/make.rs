//! Jobs for commands.

use std::time::Duration;

use jobs::clock::Clock as _;
use jobs::envelope::{EnqueueOptions, OnConflict, Unique, UniqueKey, UniqueScope};
use jobs::tenant::TenantContext;
use jobs::{GroupId, JobId, Priority};

use super::Run;
use crate::queue::model::commands::{Answer, Scope};
use crate::queue::model::plain::{Id, Job, Spec, UniqueSpec};
use crate::queue::model::world;

/// How a job that is made differs from the usual.
#[derive(Clone, Copy, Default)]
pub(super) struct Make {
    pub(super) id: Option<Id>,
    pub(super) level: Option<u8>,
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
        let context = TenantContext::for_tests(world::TENANTS[tenant]);
        let chain = self.chain(&context, &ids).expect("a small job can be stamped").jobs().to_vec();
        for job in chain {
            let wire: serde_json::Value = serde_json::from_str(job.wire()).expect("a stamped job is JSON");
            let group = wire["job"]["meta"]["group"].as_str().and_then(|id| id.parse().ok()).map(GroupId::of);
            let spec = &mut self.model.job_mut(job.id()).spec;
            (spec.group, spec.wire_bytes) = (group, job.wire().len());
            self.stamped.insert(job.id(), job);
        }
        ids
    }

    pub(super) fn make(&mut self, tenant: usize, lane: usize, make: Make) -> Id {
        let Make { id, level, delay_ms, group, unique } = make;
        let id = id.unwrap_or_else(|| self.fresh_id());
        let due = self.h.clock.now() + Duration::from_millis(delay_ms);
        let priority = level.map(|level| Priority::from_level(level.into()));
        let options = EnqueueOptions {
            id: Some(id),
            scheduled_at: (delay_ms > 0).then_some(due),
            priority,
            group,
            unique: unique.map(unique_of),
            ..EnqueueOptions::default()
        };
        let job = world::stamp(&self.h, tenant, lane, options);
        let wire_bytes = job.wire().len();
        let unique =
            unique.map(|(_, scope, answer)| UniqueSpec { digest: digest(job.wire()), scope, answer });
        let level = priority.unwrap_or_default().level();
        let due = if delay_ms > 0 { due.timestamp_millis().unsigned_abs() } else { 0 };
        self.model.add(id, Job::new(Spec { tenant, lane, level, due, group, unique, wire_bytes }));
        self.stamped.insert(id, job);
        id
    }

    /// The same in every run of a script.
    pub(super) fn fresh_id(&mut self) -> Id {
        let number = self.stamped.len() + self.model.claims.len() * 100_000;
        let seed = format!("{number} {:?}", self.h.clock.now());
        let mut id = JobId::derived(self.h.clock.now(), &seed);
        while self.stamped.contains_key(&id) {
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
    Unique { key: UniqueKey::named(&key.to_string()), scope, on_conflict }
}

/// The digest of a unique key, as it travels.
fn digest(wire: &str) -> String {
    let wire: serde_json::Value = serde_json::from_str(wire).expect("a stamped job is JSON");
    wire["job"]["unique"]["digest"].as_str().unwrap_or_default().to_owned()
}
