//! From commands to calls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use fair_queue::{GroupId, JobId};

use super::call::{Call, Ending, GroupOf, Request};
use super::make::Make;
use super::{Checked, Run};
use crate::model::commands::{Command, End, Extra};
use crate::model::plain::{Flow, Id, Keeping};

impl Run {
    pub(super) async fn step(&mut self, command: &Command) -> Checked {
        match self.resolve(command) {
            Some(call) => self.call(call).await,
            None => self.other(command).await,
        }
    }

    /// Commands that are not calls of the queue, or that name something that does not exist.
    async fn other(&mut self, command: &Command) -> Checked {
        match *command {
            Command::Again => return self.again().await,
            Command::Look { tenant, job } => return self.look(tenant, self.pick(job)).await,
            Command::Advance { ms } => self.advance(ms),
            Command::Damage { what, number } => self.damage(what, number).await?,
            Command::FlushFunctions if flush_is_due() => {
                let mut flush = redis::cmd("FUNCTION");
                flush.arg("FLUSH").query_async::<()>(&mut self.reader.redis).await.map_err(super::failed)?;
            }
            _ => {}
        }
        self.last = None;
        Ok(())
    }

    fn resolve(&mut self, command: &Command) -> Option<Call> {
        Some(match command.clone() {
            Command::Push { .. }
            | Command::PushUnique { .. }
            | Command::PushGroup { .. }
            | Command::PushChain { .. }
            | Command::PushAgain { .. } => return self.resolve_push(command),
            Command::Fetch { worker, limit, skills, quantum, newcomers } => {
                self.attempt += 1;
                Call::Fetch(Request { worker, attempt: self.attempt, limit, skills, quantum, newcomers })
            }
            Command::Finish { claim, job, end, children, group, took_us } => {
                let claim = self.claim(claim)?;
                let jobs = &self.model.claims[claim].jobs;
                let (id, charged) = jobs[job % jobs.len()];
                let time = took_us.map(|took| (charged, took));
                Call::Finish(vec![self.ending(claim, id, end, children, group, time)])
            }
            Command::FinishAll { claim, ends, took_us } => {
                Call::Finish(self.endings(self.claim(claim)?, ends, took_us))
            }
            Command::Renew { claim, extra_us } => Call::Renew { claim: self.claim(claim)?, extra_us },
            Command::Reap { max_claims } => Call::Reap { max_claims },
            Command::Heal => Call::Heal,
            Command::Sweep { limit } => Call::Sweep { limit },
            Command::Cancel { tenant, jobs } => {
                Call::Cancel { tenant, ids: jobs.iter().map(|&job| self.pick_for(tenant, job)).collect() }
            }
            Command::Reschedule { tenant, job, delay_ms } => {
                Call::Reschedule { tenant, id: self.pick_for(tenant, job), due: self.model.now + delay_ms }
            }
            Command::CancelTenant { tenant } => Call::CancelTenant { tenant },
            Command::CancelGroup { group } => {
                let (tenant, group) = self.any_group(group).unwrap_or((0, GroupId::of(self.fresh_id())));
                Call::CancelGroup { tenant, group }
            }
            Command::Set { tenant, change } => Call::Set { tenant, change },
            Command::QueueFlow { tenant, queue, flow } => {
                let flow = [Some(Flow::Paused), Some(Flow::Draining), None].get(flow).copied().flatten();
                Call::QueueFlow { tenant, queue, flow }
            }
            Command::Redrive { tenant, kept } => Call::Redrive { tenant, keeping: keeping(kept) },
            Command::Purge { tenant, kept, code } => {
                let code = code.map(|died| if died { "worker_died" } else { "discarded" });
                Call::Purge { tenant, keeping: keeping(kept), code }
            }
            Command::Heartbeat { worker, skills, stay } => Call::Heartbeat { worker, skills, stay },
            _ => return None,
        })
    }

    fn resolve_push(&mut self, command: &Command) -> Option<Call> {
        Some(match *command {
            Command::Push { tenant, jobs, skill, level, branch, delay_ms, extra } => {
                let group = match extra {
                    Extra::Member(number) => self.group_of(tenant, number),
                    _ => None,
                };
                let mut ids = Vec::new();
                for _ in 0..jobs {
                    ids.push(self.make(
                        tenant,
                        skill,
                        Make { level: Some(level), branch, delay_ms, group, ..Make::default() },
                    ));
                }
                if matches!(extra, Extra::Stranger) {
                    ids.push(self.make((tenant + 1) % 3, skill, Make { delay_ms, ..Make::default() }));
                }
                Call::Push { ids, accepted: matches!(extra, Extra::Accepted) }
            }
            Command::PushUnique { tenant, skill, level, branch, delay_ms, key, scope, answer } => {
                let unique = Some((key, scope, answer));
                let make = Make { level: Some(level), branch, delay_ms, unique, ..Make::default() };
                Call::Push { ids: vec![self.make(tenant, skill, make)], accepted: false }
            }
            Command::PushGroup { tenant, members, cancels, within } => {
                let id = GroupId::of(self.fresh_id());
                let outer = within.and_then(|number| self.group_of(tenant, number));
                let continuation = self.make(tenant, 1, Make { group: outer, ..Make::default() });
                let member = |run: &mut Self, branch| {
                    run.make(tenant, 0, Make { branch, group: Some(id), ..Make::default() })
                };
                let members = (0..members).map(|number| member(self, number % 3)).collect();
                Call::Group { group: GroupOf { id, continuation, cancels }, members }
            }
            Command::PushChain { tenant, length } => Call::Chain { ids: self.make_chain(tenant, length) },
            Command::PushAgain { ref jobs } => {
                let mut ids: Vec<Id> = jobs.iter().filter_map(|&job| self.pick(job)).collect();
                let spec = self.model.jobs[ids.first()?].spec.clone();
                let (level, branch) = (Some(spec.level), (spec.branch + 1) % 3);
                ids.push(self.make(spec.tenant, spec.skill, Make { level, branch, ..Make::default() }));
                Call::Push { ids, accepted: false }
            }
            _ => return None,
        })
    }

    /// How all jobs of a claim end, in turn in these ways.
    fn endings(&self, claim: usize, mut ends: Vec<End>, took_us: Option<u64>) -> Vec<Ending> {
        // A job that is parked and then cancelled in one call does not say until when it was parked.
        if ends.iter().any(|end| end.is_final()) {
            ends.retain(|end| *end != End::Parked);
        }
        let jobs = self.model.claims[claim].jobs.iter().zip(ends.iter().cycle());
        let ending = |(&(id, charged), &end): (&(Id, u64), &End)| Ending {
            claim,
            id,
            end,
            children: Vec::new(),
            group: None,
            time: took_us.map(|took| (charged, took)),
        };
        let mut endings: Vec<_> = jobs.map(ending).collect();
        if took_us.is_some_and(|took| took % 2 == 1) {
            endings.push(endings[0].clone()); // it comes twice in one call
        }
        endings
    }

    /// How a job ends that may leave children and open a group.
    fn ending(
        &mut self,
        claim: usize,
        id: Id,
        end: End,
        children: usize,
        group: Option<bool>,
        time: Option<(u64, u64)>,
    ) -> Ending {
        let mut ending = Ending { claim, id, end, children: Vec::new(), group: None, time };
        if !end.is_final() {
            return ending;
        }
        let spec = self.model.jobs[&id].spec.clone();
        if let Some(cancels) = group {
            // A job that runs again makes the same continuation again.
            let continuation = JobId::derived(DateTime::UNIX_EPOCH, &id.to_string());
            if !self.made.contains_key(&continuation) {
                let make = Make { id: Some(continuation), group: spec.group, ..Make::default() };
                self.make(spec.tenant, 1, make);
            }
            ending.group = Some(GroupOf { id: GroupId::of(id), continuation, cancels });
        }
        for number in 0..children {
            let group = group.map(|_| GroupId::of(id));
            let (level, branch) = (Some(spec.level), spec.branch);
            let make = Make { level, branch, group, ..Make::default() };
            ending.children.push(self.make(spec.tenant, number, make));
        }
        ending
    }

    fn claim(&self, number: usize) -> Option<usize> {
        let claims = self.model.claims.len();
        // The last ones mostly: the others are stale for ever.
        let recent = if number.is_multiple_of(5) { claims } else { claims.min(3) };
        (claims > 0).then(|| claims - 1 - number % recent)
    }

    fn pick(&self, number: usize) -> Option<Id> {
        let count = self.model.order.len();
        (count > 0).then(|| self.model.order[number % count])
    }

    /// Mostly a job of the tenant; or another tenant's, or an unknown id.
    fn pick_for(&mut self, tenant: usize, number: usize) -> Id {
        let own: Vec<Id> = self
            .model
            .order
            .iter()
            .copied()
            .filter(|&id| self.model.jobs[&id].spec.tenant == tenant)
            .collect();
        match (number % 9, self.pick(number)) {
            (0, Some(any)) => any,
            (1, _) | (0, None) => self.fresh_id(),
            _ if own.is_empty() => self.fresh_id(),
            _ => own[number % own.len()],
        }
    }

    fn any_group(&self, number: usize) -> Option<(usize, GroupId)> {
        let groups: Vec<_> = self.model.groups.keys().copied().collect();
        (!groups.is_empty()).then(|| groups[number % groups.len()])
    }

    fn group_of(&self, tenant: usize, number: usize) -> Option<GroupId> {
        let of = |&&(owner, _): &&(usize, GroupId)| owner == tenant;
        let groups: Vec<_> = self.model.groups.keys().filter(of).map(|(_, group)| *group).collect();
        (!groups.is_empty()).then(|| groups[number % groups.len()])
    }
}

const fn keeping(dead: bool) -> Keeping {
    if dead { Keeping::Dead } else { Keeping::Quarantine }
}

/// Whether the functions may be flushed: runs side by side share them, and should meet that sometimes, not always.
fn flush_is_due() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = last.is_none_or(|last| last.elapsed() > Duration::from_millis(300));
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
