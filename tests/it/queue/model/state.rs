//! The model: where every job is, and who may run.

use std::collections::{BTreeMap, BTreeSet};

use jobs::queue::JobState;

use super::commands::{End, Lane};

pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
pub(super) const LEASE_MS: u64 = 30_000;
pub(super) const MAX_DEATHS: u32 = 3;

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) tenant: usize,
    pub(super) lane: Lane,
    pub(super) place: Place,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) interruptions: u32,
    pub(super) parks: u32,
    pub(super) group: Option<usize>,
    pub(super) completed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The continuation of a group that is still open.
    Nowhere,
    Waiting,
    Timer(JobState, u64),
    Active(usize),
    Kept(JobState),
    Gone,
}

#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) cap: Option<u32>,
    pub(super) paused: bool,
    pub(super) hold: u64,
}

#[derive(Debug)]
pub(super) struct Claim {
    pub(super) fence: u64,
    pub(super) lease_end: u64,
    pub(super) jobs: Vec<String>,
    /// Its entry in the queue's index of leases.
    pub(super) leased: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeSet<String>,
    pub(super) continuation: String,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) tenants: [Tenant; 3],
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) order: Vec<String>,
    pub(super) claims: Vec<Claim>,
    pub(super) groups: Vec<Group>,
}

impl Model {
    pub(super) fn add(&mut self, id: String, tenant: usize, lane: Lane, place: Place, group: Option<usize>) {
        let counters = Job {
            tenant,
            lane,
            place,
            group,
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            parks: 0,
            completed: 0,
        };
        self.order.push(id.clone());
        self.jobs.insert(id, counters);
    }

    pub(super) fn count(&self, tenant: usize, is: impl Fn(Place) -> bool) -> u64 {
        self.jobs.values().filter(|job| job.tenant == tenant && is(job.place)).count() as u64
    }

    pub(super) fn active(&self, tenant: usize) -> u64 {
        self.count(tenant, |place| matches!(place, Place::Active(_)))
    }

    pub(super) fn may_start(&self, tenant: usize) -> bool {
        let Tenant { cap, paused, hold } = self.tenants[tenant];
        !paused && hold <= self.now && cap.is_none_or(|cap| self.active(tenant) < u64::from(cap))
    }

    /// What a fetch could return now.
    pub(super) fn startable(&self, all_lanes: bool) -> BTreeSet<&String> {
        let fits = |job: &Job| {
            job.place == Place::Waiting
                && (all_lanes || job.lane == Lane::Known)
                && self.may_start(job.tenant)
        };
        self.jobs.iter().filter(|(_, job)| fits(job)).map(|(id, _)| id).collect()
    }

    /// Every fetch first lets time do its work.
    pub(super) fn promote(&mut self) {
        for job in self.jobs.values_mut() {
            if matches!(job.place, Place::Timer(_, due) if due <= self.now) {
                job.place = Place::Waiting;
            }
        }
    }

    /// The job ends its claim. `false` when the claim is not its present one.
    pub(super) fn finish(&mut self, claim: usize, id: &str, end: End, jitter_ms: u64) -> bool {
        let now = self.now;
        let job = self.jobs.get_mut(id).expect("only known jobs are finished");
        if job.place != Place::Active(claim) {
            return false;
        }
        let tenant = job.tenant;
        job.place = match end {
            End::Completed => {
                job.completed += 1;
                Place::Gone
            }
            End::Retry { after_ms } => {
                job.attempts += 1;
                if after_ms == 0 { Place::Waiting } else { Place::Timer(JobState::Retryable, now + after_ms) }
            }
            End::Discarded => Place::Kept(JobState::Discarded),
            End::Quarantined => Place::Kept(JobState::Quarantined),
            End::Parked => {
                job.parks += 1;
                Place::Timer(JobState::Parked, now + u64::from(job.parks.min(5)) * 1_000 + jitter_ms)
            }
            End::Dropped => Place::Gone,
            End::Released => {
                job.interruptions += 1;
                Place::Waiting
            }
        };
        match job.place {
            Place::Timer(JobState::Parked, due) => {
                self.tenants[tenant].hold = self.tenants[tenant].hold.max(due);
            }
            Place::Gone if matches!(end, End::Completed) => self.tenants[tenant].hold = 0,
            _ => {}
        }
        self.unlease(claim);
        true
    }

    /// A claim without jobs has no lease either.
    fn unlease(&mut self, claim: usize) {
        let held = self.jobs.values().any(|job| job.place == Place::Active(claim));
        self.claims[claim].leased &= held;
    }

    /// A job that is done for leaves its group; the last one starts the continuation.
    pub(super) fn leave_group(&mut self, id: &str) {
        let job = &self.jobs[id];
        if !matches!(job.place, Place::Gone | Place::Kept(_)) {
            return;
        }
        let Some(group) = job.group else { return };
        if self.groups[group].members.remove(id) {
            self.close_group(group);
        }
    }

    pub(super) fn close_group(&mut self, group: usize) {
        let Group { members, continuation } = &self.groups[group];
        if members.is_empty() {
            let continuation = self.jobs.get_mut(continuation).expect("it was added with the group");
            if continuation.place == Place::Nowhere {
                continuation.place = Place::Waiting;
            }
        }
    }

    /// Claims whose lease has ended lose their jobs, the longest ended first. Says how many claims.
    pub(super) fn reap(&mut self, max_claims: usize) -> usize {
        let mut ended: Vec<usize> = (0..self.claims.len())
            .filter(|&claim| self.claims[claim].leased && self.claims[claim].lease_end <= self.now)
            .collect();
        ended.sort_by_key(|&claim| (self.claims[claim].lease_end, self.claims[claim].fence));
        ended.truncate(max_claims);
        let mut apart = 0;
        for &claim in &ended {
            for tenant in self.tenants_of(claim) {
                for id in self.claims[claim].jobs.clone().iter().rev() {
                    if self.jobs[id].tenant == tenant && self.jobs[id].place == Place::Active(claim) {
                        self.die(id, &mut apart);
                    }
                }
            }
            self.claims[claim].leased = false;
        }
        ended.len()
    }

    /// In the order of their blocks in the claim.
    fn tenants_of(&self, claim: usize) -> Vec<usize> {
        let mut tenants = Vec::new();
        for id in &self.claims[claim].jobs {
            let tenant = self.jobs[id].tenant;
            if !tenants.contains(&tenant) {
                tenants.push(tenant);
            }
        }
        tenants
    }

    fn die(&mut self, id: &str, apart: &mut u64) {
        let now = self.now;
        let job = self.jobs.get_mut(id).expect("it was claimed");
        job.deaths += 1;
        job.place = match job.deaths {
            MAX_DEATHS.. => Place::Kept(JobState::Quarantined),
            2 => {
                *apart += 1;
                Place::Timer(JobState::Retryable, now + 1_000 * *apart)
            }
            _ => Place::Waiting,
        };
        self.leave_group(id);
    }

    pub(super) fn redrive(&mut self, id: &str) -> bool {
        let job = self.jobs.get_mut(id).expect("only known jobs are redriven");
        if !matches!(job.place, Place::Kept(_)) {
            return false;
        }
        (job.attempts, job.deaths, job.parks, job.place) = (0, 0, 0, Place::Waiting);
        true
    }
}
