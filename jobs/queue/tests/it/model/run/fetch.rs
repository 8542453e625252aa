//! Fetching, on both sides.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::{Ceiling, Claim as Claimed, FetchRequest, Fetched, Skill, Turn};

use super::call::Request;
use super::turns::Turns;
use super::{Run, failed};
use crate::model::keys::{Row, same};
use crate::model::plain::{Claim, Id};
use crate::model::world::{self, LEASE_MS, TENANTS};

impl Run {
    /// How many jobs were found.
    pub(super) async fn fetch(&mut self, request: Request) -> Result<usize, String> {
        let Request { worker, skills, limit, quantum, newcomers, mut attempt } = request;
        let again = self.model.claims.iter().position(|claim| claim.request == (worker, attempt));
        let declared = world::skills(skills);
        if newcomers {
            self.look_for_newcomers(request, &declared).await?;
        }
        let name = format!("w{worker}");
        for _ in 0..50 {
            if again.is_none_or(|claim| self.model.claims[claim].lease.is_none()) {
                self.model.promote();
            }
            let ask = FetchRequest {
                worker: &name,
                attempt,
                shard: 0,
                turn: newcomers.then_some(Turn { floor: 0, ceiling: Ceiling::Busy }),
                skills: &declared,
                limit,
                quantum,
            };
            match self.h.queue.fetch(ask).await.map_err(failed)? {
                Fetched::Claim(claim) => {
                    let known = again.filter(|&known| self.model.claims[known].lease.is_some());
                    return match known {
                        Some(known) => self.claimed_again(known, &claim).map(|()| 0),
                        None => self.claimed(&claim, Request { attempt, ..request }),
                    };
                }
                Fetched::Nothing { .. } if newcomers => return self.no_newcomers(request, |_| true),
                Fetched::Nothing { more: true, .. } => {
                    self.attempt += 1;
                    attempt = self.attempt;
                    self.adopt_heads().await?;
                }
                Fetched::Nothing { more: false, next_in, .. } => {
                    let missed = self.model.startable(skills);
                    if !missed.is_empty() {
                        return Err(format!("nothing found, but {missed:?} may start"));
                    }
                    return self.next_in(next_in).await.map(|()| 0);
                }
            }
        }
        Err("it asks to be asked again, for ever".into())
    }

    /// It changes nothing: a tenant that a timer holds back waits until a fetch lets it go off.
    async fn look_for_newcomers(&self, request: Request, declared: &[Skill]) -> Result<(), String> {
        let seen = self.h.queue.newcomers(0, declared).await.map_err(failed)?;
        if seen { Ok(()) } else { self.no_newcomers(request, Row::is_ready).map(drop) }
    }

    /// No tenant without running jobs has work.
    fn no_newcomers(&self, request: Request, counts: impl Fn(&Row) -> bool) -> Result<usize, String> {
        let turns = Turns::begin(&self.before, &self.model, request)?;
        for tenant in turns.newcomers(&self.model) {
            if counts(&self.before.row(tenant)?.unwrap_or_default()) {
                return Err(format!("{} is a newcomer, but was not served", TENANTS[tenant]));
            }
        }
        Ok(0)
    }

    /// A fetch that found only tombstones has removed them.
    async fn adopt_heads(&mut self) -> Result<(), String> {
        self.check().await
    }

    /// An idle worker sleeps until the first timer.
    async fn next_in(&mut self, next_in: Option<Duration>) -> Result<(), String> {
        let key = self.reader.key("w");
        let mut command = redis::cmd("ZRANGE");
        command.arg(key).arg(0).arg(0).arg("WITHSCORES");
        let head: Vec<(String, f64)> = command.query_async(&mut self.reader.redis).await.map_err(failed)?;
        let now = self.model.now;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds since 1970"
        )]
        let expected = head.first().map(|(_, at)| Duration::from_millis((*at as u64).saturating_sub(now)));
        same("next", &next_in, &expected)
    }

    fn claimed_again(&mut self, known: usize, claim: &Claimed) -> Result<(), String> {
        let expected = &self.model.claims[known];
        same("fence", &claim.fence, &expected.fence)?;
        let mut found = jobs(claim)?;
        let mut expected = expected.jobs.clone();
        found.sort_unstable();
        expected.sort_unstable();
        same("the same claim", &found, &expected)
    }

    fn claimed(&mut self, claim: &Claimed, request: Request) -> Result<usize, String> {
        let Request { skills, limit, .. } = request;
        let number = self.model.claims.len();
        if claim.jobs.len() > limit || self.model.claims.iter().any(|known| known.fence >= claim.fence) {
            return Err(format!("{} jobs under fence {}", claim.jobs.len(), claim.fence));
        }
        let mut turns = Turns::begin(&self.before, &self.model, request)?;
        let jobs = jobs(claim)?;
        let mut record: Vec<(usize, Vec<Id>)> = Vec::new();
        let mut bytes = BTreeMap::new();
        for (job, &(id, charged)) in claim.jobs.iter().zip(&jobs) {
            let known = self.model.jobs.get(&id).ok_or("an unknown job")?;
            let tenant = known.spec.tenant;
            same("tenant", &&*job.partition, &TENANTS[tenant])?;
            bytes.insert(id, job.record.as_ref().map_or(0, Vec::len));
            same("bytes", &(bytes[&id] as u64), &known.bytes())?;
            turns.next(&self.model, tenant)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and whole")]
            let price = self.model.price(tenant) as u64;
            same("charged", &charged, &price)?;
            self.model.start(id, skills, number)?;
            turns.started(&self.model, id);
            record.push((tenant, vec![id]));
        }
        let found = jobs.len();
        self.model.claims.push(Claim {
            fence: claim.fence,
            request: (request.worker, request.attempt),
            jobs,
            bytes,
            lease: Some(self.model.now + LEASE_MS),
            left: i64::try_from(found).ok(),
            record: Some(record),
        });
        // One call serves all tenants it can reach; tombstones use up some of its visits.
        let left = self.model.startable(skills);
        if !request.newcomers && found < limit && !left.is_empty() && self.model.ghosts.len() < limit {
            return Err(format!("{found} of {limit} found, but {left:?} may start"));
        }
        self.fetched = Some(turns.end(&self.model));
        Ok(found)
    }
}

fn jobs(claim: &Claimed) -> Result<Vec<(Id, u64)>, String> {
    let read = |job: &fair_queue::ClaimedJob| {
        let id = job.id.parse().map_err(|_| format!("{} is no id", job.id))?;
        Ok((id, u64::try_from(job.charged.as_micros()).unwrap_or(u64::MAX)))
    };
    claim.jobs.iter().map(read).collect()
}
