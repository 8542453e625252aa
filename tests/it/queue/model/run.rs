//! Runs commands on both and compares.

use std::time::Duration;

use jobs::clock::Clock as _;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::queue::{FetchRequest, Fetched, JobState, Redriven, TenantShare};
use jobs::{JobId, Priority};

use super::commands::{Command, Lane};
use super::keys::{Keys, same};
use super::state::{Claim, Job, LEASE_MS, Model, Place, TENANTS};
use crate::queue::support::{Harness, Ping, Pong, ids, tenant};

pub(super) type Checked = Result<(), String>;

pub(super) struct Run {
    pub(super) h: Harness,
    keys: Keys,
    pub(super) model: Model,
    stamped: std::collections::BTreeMap<String, StampedJob>,
    attempt: u64,
}

pub(super) async fn run(script: &[Command]) -> Checked {
    let h = Harness::new().await;
    let keys = Keys::new(&h).await;
    let model = Model { now: h.clock.now_ms().unsigned_abs(), ..Model::default() };
    let mut run = Run { h, keys, model, stamped: std::collections::BTreeMap::default(), attempt: 0 };
    for command in script {
        run.step(command).await.map_err(|error| format!("{command:?}: {error}"))?;
        run.check().await.map_err(|error| format!("after {command:?}: {error}"))?;
    }
    run.drain().await.map_err(|error| format!("in the end: {error}"))
}

impl Run {
    async fn step(&mut self, command: &Command) -> Checked {
        match *command {
            Command::Push { tenant, jobs, lane, level, delay_ms } => {
                self.push(tenant, jobs, lane, level, delay_ms).await
            }
            Command::PushAgain { job } => self.push_again(job).await,
            Command::Fetch { limit, all_lanes } => self.fetch(limit, all_lanes).await.map(drop),
            Command::Finish { claim, job, end, children, group } => {
                self.finish(claim, job, end, children, group).await
            }
            Command::Complete { claim } => self.complete(claim).await,
            Command::Advance { ms } => {
                self.advance(ms);
                Ok(())
            }
            Command::Renew { claim } => self.renew(claim).await,
            Command::Reap { max_claims } => self.reap(max_claims).await,
            Command::Cap { tenant, cap } => self.share(tenant, Some(cap), None).await,
            Command::Pause { tenant, paused } => self.share(tenant, None, Some(paused)).await,
            Command::Redrive { job } => self.redrive(job).await,
            Command::FlushFunctions => {
                let mut redis = self.h.redis().await;
                redis::cmd("FUNCTION")
                    .arg("FLUSH")
                    .query_async(&mut redis)
                    .await
                    .map_err(|error| error.to_string())
            }
        }
    }

    pub(super) fn stamp(&mut self, tenant: usize, lane: Lane, options: EnqueueOptions) -> StampedJob {
        let job = match lane {
            Lane::Known => self.h.stamp(TENANTS[tenant], &Ping::default(), options),
            Lane::Rare => self.h.stamp(TENANTS[tenant], &Pong::default(), options),
        };
        self.stamped.insert(job.id().to_string(), job.clone());
        job
    }

    async fn push(&mut self, tenant: usize, jobs: usize, lane: Lane, level: u8, delay_ms: u64) -> Checked {
        let due = self.h.clock.now() + Duration::from_millis(delay_ms);
        let priority =
            [Priority::High, Priority::Normal, Priority::Low, Priority::Background][level as usize];
        let mut batch = Vec::new();
        for _ in 0..jobs {
            let scheduled_at = (delay_ms > 0).then_some(due);
            let options =
                EnqueueOptions { priority: Some(priority), scheduled_at, ..EnqueueOptions::default() };
            batch.push(self.stamp(tenant, lane, options));
        }
        let place = if delay_ms > 0 {
            Place::Timer(JobState::Scheduled, self.model.now + delay_ms)
        } else {
            Place::Waiting
        };
        for job in &batch {
            self.model.add(job.id().to_string(), tenant, lane, place, None);
        }
        let outcome = self.h.queue.push(&batch).await.map_err(|error| error.to_string())?;
        same("accepted", &outcome.accepted, &jobs)
    }

    fn pick(&self, number: usize) -> Option<String> {
        let count = self.model.order.len();
        (count > 0).then(|| self.model.order[number % count].clone())
    }

    async fn push_again(&mut self, job: usize) -> Checked {
        let Some(id) = self.pick(job) else { return Ok(()) };
        // A job that is finished is forgotten, and one that was never enqueued is not known yet.
        if matches!(self.model.jobs[&id].place, Place::Gone | Place::Nowhere) {
            return Ok(());
        }
        let outcome =
            self.h.queue.push(&[self.stamped[&id].clone()]).await.map_err(|error| error.to_string())?;
        same("accepted", &outcome.accepted, &0)
    }

    async fn fetch(&mut self, limit: usize, all_lanes: bool) -> Result<usize, String> {
        self.model.promote();
        let lanes = if all_lanes {
            vec![jobs::queue::Lane::of::<Ping>(), jobs::queue::Lane::of::<Pong>()]
        } else {
            vec![jobs::queue::Lane::of::<Ping>()]
        };
        for _ in 0..50 {
            self.attempt += 1;
            let request = FetchRequest {
                worker: "w",
                attempt: self.attempt,
                shard: 0,
                turn: None,
                lanes: &lanes,
                limit,
                quantum: 2,
            };
            match self.h.queue.fetch(request).await.map_err(|error| error.to_string())? {
                Fetched::Claim(claim) => return self.claimed(&claim, limit, all_lanes),
                Fetched::Nothing { more: true, .. } => {}
                Fetched::Nothing { more: false, .. } => {
                    let missed = self.model.startable(all_lanes);
                    return if missed.is_empty() {
                        Ok(0)
                    } else {
                        Err(format!("nothing found, but {missed:?} may start"))
                    };
                }
            }
        }
        Err("it asks to be asked again, for ever".into())
    }

    fn claimed(
        &mut self,
        claim: &jobs::queue::Claim,
        limit: usize,
        all_lanes: bool,
    ) -> Result<usize, String> {
        let number = self.model.claims.len();
        if claim.jobs.len() > limit || self.model.claims.iter().any(|known| known.fence >= claim.fence) {
            return Err(format!("{} jobs under fence {}", claim.jobs.len(), claim.fence));
        }
        for job in &claim.jobs {
            if !self.model.startable(all_lanes).contains(&job.id) {
                return Err(format!("{} of {} may not start", job.id, job.tenant));
            }
            let known = self.model.jobs.get_mut(&job.id).ok_or("an unknown job")?;
            same("tenant", &job.tenant.as_str(), &TENANTS[known.tenant])?;
            known.place = Place::Active(number);
        }
        let lease_end = self.model.now + LEASE_MS;
        self.model.claims.push(Claim { fence: claim.fence, lease_end, jobs: ids(claim), leased: true });
        let found = claim.jobs.len();
        // One call serves everybody it can reach.
        let left = self.model.startable(all_lanes);
        if found < limit && !left.is_empty() {
            Err(format!("{found} of {limit} found, but {left:?} may start"))
        } else {
            Ok(found)
        }
    }

    fn advance(&mut self, ms: u64) {
        self.h.clock.advance(Duration::from_millis(ms));
        self.model.now += ms;
    }

    async fn renew(&mut self, claim: usize) -> Checked {
        if self.model.claims.is_empty() {
            return Ok(());
        }
        let index = claim % self.model.claims.len();
        let now = self.model.now;
        let claim = &mut self.model.claims[index];
        let held = self.h.queue.renew(0, &[claim.fence]).await.map_err(|error| error.to_string())?[0];
        if claim.leased {
            claim.lease_end = now + LEASE_MS;
        }
        same("held", &held, &claim.leased)
    }

    async fn reap(&mut self, max_claims: u32) -> Checked {
        let reaped = self.h.queue.reap(0, max_claims).await.map_err(|error| error.to_string())?;
        same("reaped", &reaped.claims, &self.model.reap(max_claims as usize))
    }

    async fn share(&mut self, number: usize, cap: Option<u32>, paused: Option<bool>) -> Checked {
        let share = TenantShare { cap, paused, ..TenantShare::default() };
        let changed = &mut self.model.tenants[number];
        changed.cap = cap.or(changed.cap);
        changed.paused = paused.unwrap_or(changed.paused);
        changed.hold = 0;
        self.h.queue.tenant_set(&tenant(TENANTS[number]), share).await.map_err(|error| error.to_string())
    }

    async fn redrive(&mut self, job: usize) -> Checked {
        let Some(id) = self.pick(job) else { return Ok(()) };
        let owner = tenant(TENANTS[self.model.jobs[&id].tenant]);
        let done = self
            .h
            .queue
            .redrive(&owner, id.parse().map_err(|_| "id")?)
            .await
            .map_err(|error| error.to_string())?;
        same("redriven", &(done == Redriven::Started), &self.model.redrive(&id))
    }

    async fn check(&mut self) -> Checked {
        for (number, name) in TENANTS.iter().enumerate() {
            let stats = self.h.queue.stats(&tenant(name)).await.map_err(|error| error.to_string())?;
            let timer =
                |state| self.model.count(number, |place| matches!(place, Place::Timer(is, _) if is == state));
            let kept = |state| self.model.count(number, |place| place == Place::Kept(state));
            let found = [
                stats.available,
                stats.active,
                stats.scheduled,
                stats.retryable,
                stats.parked,
                stats.discarded,
                stats.quarantined,
            ];
            let expected = [
                self.model.count(number, |place| place == Place::Waiting),
                self.model.active(number),
                timer(JobState::Scheduled),
                timer(JobState::Retryable),
                timer(JobState::Parked),
                kept(JobState::Discarded),
                kept(JobState::Quarantined),
            ];
            same(name, &found, &expected)?;
        }
        self.keys.check(&self.h, &self.model).await
    }

    /// Everybody may run again, and nothing is left over: each job ended once, each continuation too.
    async fn drain(&mut self) -> Checked {
        for number in 0..TENANTS.len() {
            self.share(number, Some(100), Some(false)).await?;
        }
        for _ in 0..500 {
            self.advance(LEASE_MS);
            self.reap(100).await?;
            while self.fetch(8, true).await? > 0 {
                self.complete(self.model.claims.len() - 1).await?;
            }
            let open = |job: &Job| !matches!(job.place, Place::Gone | Place::Kept(_));
            if !self.model.jobs.values().any(open) {
                self.check().await?;
                self.check_counters().await?;
                return self.keys.check_drained(&self.h).await;
            }
        }
        Err("it does not drain".into())
    }

    async fn check_counters(&self) -> Checked {
        for (id, job) in &self.model.jobs {
            let id: JobId = id.parse().map_err(|_| "id")?;
            let status = self
                .h
                .queue
                .lookup(&tenant(TENANTS[job.tenant]), id)
                .await
                .map_err(|error| error.to_string())?;
            if let (Place::Kept(state), Some(status)) = (job.place, &status) {
                let found = (status.state, status.attempts, status.deaths, status.interruptions);
                same("counters", &found, &(state, job.attempts, job.deaths, job.interruptions))?;
            }
            same("completions", &(job.completed <= 1), &true)?;
        }
        Ok(())
    }
}
