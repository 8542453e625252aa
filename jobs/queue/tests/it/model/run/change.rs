//! Everything between coming in and ending, on both sides.

use std::time::Duration;

use chrono::DateTime;
use fair_queue::{
    Cancelled, Flow as QueueFlow, GroupId, JobFilter, Kept, PartitionShare, Redriven, Rescheduled,
};

use super::{Checked, Run, failed};
use crate::model::commands::{Change, Damage};
use crate::model::keys::same;
use crate::model::plain::{DAMAGED, Flow, Id, Keeping, Place};
use crate::model::world::{self, QUEUES, TENANTS, TYPES};
use crate::support::tenant;

impl Run {
    pub(super) fn advance(&mut self, ms: u64) {
        self.h.clock.advance(Duration::from_millis(ms));
        self.model.now += ms;
    }

    pub(super) async fn renew(&mut self, claim: usize, extra_us: u64) -> Checked {
        let fence = self.model.claims[claim].fence;
        let (id, _) = self.model.claims[claim].jobs[0];
        let owner = self.model.tenant_of(id);
        let charges = [(TENANTS[owner].into(), i64::try_from(extra_us).unwrap_or(0))];
        let held = self.h.queue.renew_charged(0, &[fence], &charges).await.map_err(failed)?;
        self.model.charge(owner, f64::from(u32::try_from(extra_us).unwrap_or(0)));
        same("held", &held, &vec![self.model.renew(claim)])
    }

    pub(super) async fn reap(&mut self, max_claims: u32) -> Checked {
        let reaped = self.h.queue.reap(0, max_claims).await.map_err(failed)?;
        let (claims, returned, quarantined) = self.model.reap(max_claims as usize);
        let quarantined =
            quarantined.iter().map(|&id| (TENANTS[self.model.tenant_of(id)].into(), id.to_string()));
        let expected = fair_queue::Reaped { claims, returned, quarantined: quarantined.collect() };
        same("reaped", &reaped, &expected)
    }

    pub(super) async fn heal(&mut self) -> Checked {
        let (mut cursor, mut claims) = ("0".to_owned(), 0);
        for _ in 0..20 {
            let healed = self.h.queue.heal(0, &cursor, 2).await.map_err(failed)?;
            claims += healed.claims;
            cursor = healed.cursor;
            if cursor == "0" {
                return same("healed", &claims, &self.model.heal());
            }
        }
        Err("it heals for ever".into())
    }

    pub(super) async fn sweep(&mut self, limit: u32) -> Result<usize, String> {
        let left = self.h.queue.sweep(0, limit).await.map_err(failed)?;
        same("heaps left", &left, &self.model.sweep(limit as usize))?;
        Ok(left)
    }

    pub(super) async fn cancel(&mut self, number: usize, ids: &[Id]) -> Checked {
        let found = self.h.queue.cancel_ids(&tenant(TENANTS[number]), ids).await.map_err(failed)?;
        let letter = |cancelled: &Cancelled| match cancelled {
            Cancelled::Now => 'c',
            Cancelled::Stopping => 'r',
            Cancelled::Kept => 'k',
            Cancelled::NotFound => 'n',
        };
        same("cancelled", &found.iter().map(letter).collect(), &self.model.cancel(number, ids))
    }

    pub(super) async fn reschedule(&mut self, number: usize, id: Id, due: u64) -> Checked {
        let at = DateTime::from_timestamp_millis(i64::try_from(due).map_err(failed)?).ok_or("no time")?;
        let found = self.h.queue.reschedule(&tenant(TENANTS[number]), id, at).await.map_err(failed)?;
        let letter = match found {
            Rescheduled::Moved => 'o',
            Rescheduled::NotScheduled => 'w',
            Rescheduled::NotFound => 'n',
        };
        same("rescheduled", &letter, &self.model.reschedule_one(number, id, due))
    }

    pub(super) async fn cancel_tenant(&mut self, number: usize) -> Checked {
        let report = self.h.queue.cancel_partition(&tenant(TENANTS[number])).await.map_err(failed)?;
        same("called off", &(report.cancelled, report.stopping), &self.model.cancel_tenant(number))
    }

    pub(super) async fn cancel_group(&mut self, number: usize, group: GroupId) -> Checked {
        let members = self.h.queue.cancel_group(&tenant(TENANTS[number]), group).await.map_err(failed)?;
        same("members", &members, &self.model.cancel_group(number, group))
    }

    pub(super) async fn set(&mut self, number: usize, change: Change) -> Checked {
        self.model.set(number, change);
        self.h.queue.partition_set(&tenant(TENANTS[number]), share(change)).await.map_err(failed)
    }

    pub(super) async fn queue_flow(
        &mut self,
        number: Option<usize>,
        queue: usize,
        flow: Option<Flow>,
    ) -> Checked {
        self.model.set_queue(number, queue, flow);
        let flow = match flow {
            Some(Flow::Paused) => QueueFlow::Paused,
            Some(Flow::Draining) => QueueFlow::Draining,
            None => QueueFlow::Open,
        };
        match number {
            Some(number) => {
                let owner = tenant(TENANTS[number]);
                self.h.queue.partition_queue_set(&owner, QUEUES[queue], flow).await.map_err(failed)
            }
            None => self.h.queue.queue_set(QUEUES[queue], flow).await.map_err(failed),
        }
    }

    /// Kept jobs of a tenant, the oldest first.
    fn kept(&self, number: usize, keeping: Keeping, code: Option<&str>) -> Vec<Id> {
        let since = |id: &Id| match self.model.jobs[id].place {
            Place::Kept(is, since) if is == keeping => Some(since),
            _ => None,
        };
        let wanted = |id: &Id| code.is_none_or(|code| self.model.jobs[id].why == code);
        let all = self.model.jobs.keys().copied().filter(|&id| self.model.tenant_of(id) == number);
        let mut kept: Vec<_> =
            all.filter_map(|id| Some((since(&id)?, id))).filter(|(_, id)| wanted(id)).collect();
        kept.sort_unstable();
        kept.into_iter().map(|(_, id)| id).collect()
    }

    /// All of them; or, when there is but one, that one by its id.
    pub(super) async fn redrive(&mut self, number: usize, keeping: Keeping) -> Checked {
        let ids = self.kept(number, keeping, None);
        let owner = tenant(TENANTS[number]);
        let expected = self.model.redrive(&ids);
        if let [id] = ids.as_slice() {
            let letter = match self.h.queue.redrive(&owner, *id).await.map_err(failed)? {
                Redriven::Started => "o",
                Redriven::KeyTaken => "u",
                Redriven::NotFound => "n",
            };
            return same("redriven", &letter, &expected.as_str());
        }
        let filter = JobFilter::default();
        let started = self.h.queue.redrive_where(&owner, kind(keeping), &filter).await.map_err(failed)?;
        same("redriven", &started, &(expected.matches('o').count() as u64))
    }

    pub(super) async fn purge(
        &mut self,
        number: usize,
        keeping: Keeping,
        code: Option<&'static str>,
    ) -> Checked {
        let ids = self.kept(number, keeping, code);
        let filter = JobFilter { reason_code: code.map(str::to_owned), ..JobFilter::default() };
        let owner = tenant(TENANTS[number]);
        let purged = self.h.queue.purge_where(&owner, kind(keeping), &filter).await.map_err(failed)?;
        for &id in &ids {
            self.model.purge(id);
        }
        same("purged", &purged, &(ids.len() as u64))
    }

    pub(super) async fn heartbeat(&mut self, worker: usize, skills: u8, stay: bool) -> Checked {
        for skill in (0..world::SKILLS.len()).filter(|skill| skills & (1 << skill) != 0) {
            if stay {
                self.model.workers.insert((skill, worker), self.model.now);
            } else {
                self.model.workers.remove(&(skill, worker));
            }
        }
        let (name, skills) = (format!("w{worker}"), world::skills(skills));
        self.h.queue.heartbeat(&name, &skills, stay).await.map_err(failed)
    }

    pub(super) async fn damage(&mut self, what: Damage, number: usize) -> Checked {
        let (claims, jobs) = (self.model.claims.len(), self.model.order.len());
        if (what != Damage::Row && claims == 0) || jobs == 0 {
            return Ok(());
        }
        let (claim, id) =
            (claims.saturating_sub(1 + number % claims.clamp(1, 3)), self.model.order[number % jobs]);
        let fence = self.model.claims.get(claim).map_or(0, |claim| claim.fence);
        let (lease, left, record) =
            (self.reader.key("l"), self.reader.key("n"), self.reader.key(&format!("c:{fence}")));
        let mut command = redis::Cmd::new();
        match what {
            Damage::Lease => {
                self.model.claims[claim].lease = None;
                command.arg("ZREM").arg(lease).arg(fence);
            }
            Damage::Count => {
                self.model.claims[claim].left = None;
                command.arg("HDEL").arg(left).arg(fence);
            }
            Damage::Record => {
                self.model.claims[claim].record = None;
                command.arg("DEL").arg(record);
            }
            Damage::Row => return self.damage_row(number % TENANTS.len()).await,
            Damage::Job => {
                let again = self.model.litter.iter().any(|heap| heap.ids.contains(&id));
                if again || !self.model.jobs[&id].place.is_open() {
                    return Ok(());
                }
                self.model.job_mut(id).damaged = true;
                command.arg("HSET").arg(self.reader.key("e")).arg(id.to_string()).arg(DAMAGED);
            }
        }
        command.query_async::<()>(&mut self.reader.redis).await.map_err(failed)
    }

    /// And lets the queue find out.
    async fn damage_row(&mut self, number: usize) -> Checked {
        if self.before.row(number)?.is_none() {
            return Ok(());
        }
        let mut command = redis::cmd("HSET");
        command.arg(self.reader.key("T")).arg(TENANTS[number]).arg(DAMAGED);
        command.query_async::<()>(&mut self.reader.redis).await.map_err(failed)?;
        self.model.row_lost(number);
        self.heal().await
    }
}

const fn kind(keeping: Keeping) -> Kept {
    match keeping {
        Keeping::Dead => Kept::Discarded,
        Keeping::Quarantine => Kept::Quarantined,
    }
}

fn share(change: Change) -> PartitionShare {
    let usual = PartitionShare::default();
    match change {
        Change::Weight(weight) => PartitionShare { weight: Some(weight), ..usual },
        Change::Cap(cap) => PartitionShare { cap: Some(cap.unwrap_or(u32::MAX)), ..usual },
        Change::TypeCap(kind, cap) => {
            PartitionShare { type_caps: [(TYPES[kind].into(), cap)].into(), ..usual }
        }
        Change::Rate(interval, burst) => {
            PartitionShare { interval_ms: Some(interval), burst: Some(burst), ..usual }
        }
        Change::BacklogJobs(jobs) => PartitionShare { backlog_jobs: Some(jobs), ..usual },
        Change::BacklogBytes(bytes) => PartitionShare { backlog_bytes: Some(bytes), ..usual },
        Change::ScheduledJobs(jobs) => PartitionShare { scheduled_jobs: Some(jobs), ..usual },
        Change::Paused(on) => PartitionShare { paused: Some(on), ..usual },
        Change::Suspended(on) => PartitionShare { suspended: Some(on), ..usual },
        Change::Draining(on) => PartitionShare { draining: Some(on), ..usual },
        Change::Usual => PartitionShare::usual(),
    }
}
