//! What the queue says about itself.

use std::collections::{BTreeMap, BTreeSet};

use fair_queue::{JobFilter, JobState, Kept, QueueError, QueueStats, RateWindow};

use super::{Checked, Run, failed};
use crate::model::keys::same;
use crate::model::plain::{Flow, Id, Keeping, Line, Place, Timer};
use crate::model::world::{QUEUES, SKILLS, TENANTS};
use crate::support::tenant;

/// How long a worker counts as alive, in milliseconds.
const LIVE_MS: u64 = 15_000;

impl Run {
    pub(super) async fn look(&mut self, number: usize, id: Option<Id>) -> Checked {
        self.look_at_stats(number).await?;
        self.look_at_lists(number).await?;
        self.look_at_kept(number).await?;
        self.look_at_skills().await?;
        for tenant in 0..TENANTS.len() {
            self.look_for_room(tenant).await?;
            self.ask_to_be_admitted(tenant).await?;
        }
        let open = self.model.jobs.iter().filter(|(_, job)| job.place.is_open());
        let open: Vec<_> = open.map(|(id, _)| *id).take(8).collect();
        for id in id.into_iter().chain(open) {
            self.look_up(id).await.map_err(|error| format!("{id}: {error}"))?;
            self.explain(id).await.map_err(|error| format!("{id}: {error}"))?;
        }
        Ok(())
    }

    fn workers(&self, skill: usize) -> u64 {
        let live = |at: u64| at + LIVE_MS >= self.model.now;
        self.model.workers.iter().filter(|((of, _), at)| *of == skill && live(**at)).count() as u64
    }

    async fn look_at_stats(&self, number: usize) -> Checked {
        let found = self.h.queue.stats(&tenant(TENANTS[number])).await.map_err(failed)?;
        let model = &self.model;
        let timer = |timer| model.in_timer(number, timer).len() as u64;
        let kept = |is| model.count(number, |place| matches!(place, Place::Kept(kept, _) if kept == is));
        let mut undeclared = BTreeMap::new();
        for ((_, skill, _), list) in model.lists.iter().filter(|((of, ..), _)| *of == number) {
            let waiting = list.ids().filter(|id| !model.ghosts.contains_key(id)).count() as u64;
            if self.workers(*skill) == 0 && waiting > 0 && !model.tenants[number].suspended {
                *undeclared.entry(SKILLS[*skill].name.to_owned()).or_insert(0) += waiting;
            }
        }
        let waiting = model.count(number, |place| place == Place::Waiting);
        let (available, held) = if model.tenants[number].suspended { (0, waiting) } else { (waiting, 0) };
        let [completed_total, cancelled_total, discarded_total, quarantined_total] =
            model.tenants[number].outcomes;
        let expected = QueueStats {
            available,
            active: model.active(number),
            scheduled: timer(Timer::Scheduled),
            retryable: timer(Timer::Retryable),
            parked: held + timer(Timer::Parked),
            discarded: kept(Keeping::Dead),
            quarantined: kept(Keeping::Quarantine),
            completed_total,
            cancelled_total,
            discarded_total,
            quarantined_total,
            undeclared,
        };
        same("stats", &found, &expected)
    }

    async fn look_at_lists(&self, number: usize) -> Checked {
        let found = self.h.queue.list(&tenant(TENANTS[number]), &JobFilter::default(), None, 10_000).await;
        let found = found.map_err(failed)?;
        same("a next page", &found.next, &None)?;
        let found: Vec<_> = found.jobs.into_iter().map(|job| (job.id, job.state)).collect();
        let open = self.model.jobs.iter().filter(|(_, job)| job.spec.tenant == number && !job.damaged);
        let suspended = self.model.tenants[number].suspended;
        let state = |place| match place {
            Place::Waiting if suspended => Some(JobState::Parked),
            Place::Waiting => Some(JobState::Available),
            Place::Active(_) => Some(JobState::Active),
            Place::Timer(timer, _) => Some(timer_state(timer)),
            _ => None,
        };
        let open = open.filter_map(|(id, job)| Some((*id, state(job.place)?)));
        let expected: BTreeSet<_> = open.map(|(id, state)| (id, state.as_str())).collect();
        same("twice in a list", &found.len(), &expected.len())?;
        same("listed", &found.into_iter().map(|(id, state)| (id, state.as_str())).collect(), &expected)
    }

    async fn look_at_kept(&self, number: usize) -> Checked {
        for (keeping, kept) in [(Keeping::Dead, Kept::Discarded), (Keeping::Quarantine, Kept::Quarantined)] {
            let found = self.h.queue.kept(&tenant(TENANTS[number]), kept, 1_000).await.map_err(failed)?;
            let expected = self.model.jobs.iter().filter_map(|(id, job)| match job.place {
                Place::Kept(is, since) if is == keeping && job.spec.tenant == number => {
                    Some((since, *id, job.why))
                }
                _ => None,
            });
            let mut expected: Vec<_> = expected.collect();
            expected.sort_unstable();
            expected.reverse();
            let since = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis().unsigned_abs();
            let found = found.iter().map(|job| (since(job.since), job.id, job.reason.code.as_str()));
            same("kept", &found.collect(), &expected)?;
        }
        Ok(())
    }

    async fn look_at_skills(&self) -> Checked {
        for status in self.h.queue.skills().await.map_err(failed)? {
            let skill =
                SKILLS.iter().position(|skill| skill.name == status.skill).ok_or("an unknown skill")?;
            let number = self.before.skill_number(skill);
            let ready = number.map_or(0, |number| self.before.ready[number].len() as u64);
            same("skill", &(status.ready_partitions, status.workers), &(ready, self.workers(skill)))?;
        }
        Ok(())
    }

    /// Just as much as there is room for, and one more.
    async fn look_for_room(&self, number: usize) -> Checked {
        let (owner, of) = (tenant(TENANTS[number]), &self.model.tenants[number]);
        let drains = |flow: Option<&Flow>| flow == Some(&Flow::Draining);
        let closed = of.draining || drains(self.model.queues.get(&0)) || drains(of.queues.get(&0));
        let room = of.backlog_jobs.map(|most| most.saturating_sub(self.model.waiting(number)));
        for (jobs, fits) in [(room, true), (room.map(|room| room + 1), false)] {
            let Some(jobs) = jobs.and_then(|jobs| usize::try_from(jobs).ok()).filter(|jobs| *jobs > 0) else {
                continue;
            };
            let found = match self.h.queue.room(&owner, QUEUES[0], jobs, 0, 0).await {
                Ok(()) => None,
                Err(QueueError::LimitReached(limits)) => Some(limits[0].limit.clone()),
                Err(error) => return Err(failed(error)),
            };
            let is_quota = found.as_deref() == Some("backlog_jobs");
            let bytes = found.as_deref() == Some("backlog_bytes");
            let expected = closed || bytes || is_quota != fits;
            if !expected || (closed && found.is_none()) {
                return Err(format!("room for {jobs} jobs: {found:?}"));
            }
        }
        Ok(())
    }

    /// Once more in a window that holds three. What is said about room is what is said without a window.
    async fn ask_to_be_admitted(&mut self, number: usize) -> Checked {
        const WINDOW_S: u32 = 60;
        let (owner, now_s) =
            (tenant(TENANTS[number]), i64::try_from(self.model.now / 1_000).unwrap_or_default());
        let window = RateWindow { limit: 3, window_s: WINDOW_S, now_s };
        let asked = &mut self.model.tenants[number].asked;
        asked.retain(|second| *second > now_s - i64::from(WINDOW_S));
        let frees = asked.first().unwrap_or(&now_s) + i64::from(WINDOW_S) - now_s;
        let fits = asked.len() < 3;
        if fits {
            asked.push(now_s);
        }
        let expected = (fits, asked.len() as u64, frees);
        let (found, room) = self.h.queue.admit(&owner, window, 1, Some(QUEUES[0])).await.map_err(failed)?;
        same("window", &(found.taken, found.used, i64::from(found.frees_in_s)), &expected)?;
        let left = self.h.queue.room_left(&owner, QUEUES[0]).await.map_err(failed)?;
        same("room", &room, &Some(left))
    }

    async fn look_up(&self, id: Id) -> Checked {
        let job = &self.model.jobs[&id];
        let owner = &self.model.tenants[job.spec.tenant];
        let found = self.h.queue.lookup(&tenant(TENANTS[job.spec.tenant]), id).await.map_err(failed)?;
        let ended = || {
            let state = |done: &bool| if *done { JobState::Completed } else { JobState::Cancelled };
            owner.ended.get(&id).map(state)
        };
        let (state, at) = match job.place {
            Place::Nowhere | Place::Gone => (ended(), None),
            Place::Waiting if job.damaged => (ended(), None),
            Place::Waiting if owner.suspended => (Some(JobState::Parked), None),
            Place::Waiting => (Some(JobState::Available), None),
            Place::Timer(timer, due) => (Some(timer_state(timer)), Some(due)),
            Place::Active(_) => (Some(JobState::Active), None),
            Place::Kept(Keeping::Dead, since) => (Some(JobState::Discarded), Some(since)),
            Place::Kept(Keeping::Quarantine, since) => (Some(JobState::Quarantined), Some(since)),
            Place::Garbage if job.damaged => return Ok(()),
            Place::Garbage => (Some(JobState::Cancelled), None),
        };
        let Some(found) = found else { return same("state", &None, &state) };
        same("state", &Some(found.state), &state)?;
        same("at", &found.at.map(|at| at.timestamp_millis().unsigned_abs()), &at)?;
        if job.place.is_open() && !job.damaged {
            let level = 4 * found.lane as u8 + found.priority.level();
            let counters = ([found.attempts, found.deaths, found.interruptions, found.waits], level);
            let expected = ([job.attempts, job.deaths, job.interruptions, job.parks], job.spec.level);
            same("counters", &counters, &expected)?;
            let declared = self.workers(job.spec.skill) > 0;
            same(
                "skill",
                &(found.skill.as_str(), found.skill_declared),
                &(SKILLS[job.spec.skill].name, declared),
            )?;
        }
        Ok(())
    }

    async fn explain(&self, id: Id) -> Checked {
        let job = &self.model.jobs[&id];
        let waits = matches!(job.place, Place::Waiting | Place::Timer(..)) && !job.damaged;
        let owner = tenant(TENANTS[job.spec.tenant]);
        let found = self.h.queue.explain(&owner, id).await.map_err(failed)?;
        let Some(found) = found.filter(|_| waits) else { return Ok(()) };
        let codes: BTreeSet<_> = found.waits_for.iter().map(fair_queue::WaitsFor::code).collect();
        let expected = self.reasons(id);
        // A level may be thought to have jobs until a fetch finds that it has none.
        let about_others = |code: &&str| !matches!(*code, "tenants_ahead" | "free_worker" | "bulk");
        same("waits for", &codes.iter().copied().filter(about_others).collect(), &expected)?;
        let ahead = found.waits_for.iter().find_map(|reason| match reason {
            fair_queue::WaitsFor::Jobs(count) => Some(*count),
            _ => None,
        });
        same("jobs ahead", &ahead.unwrap_or(0), &self.ahead(id))?;
        let turn = found.waits_for.iter().find_map(|reason| match reason {
            fair_queue::WaitsFor::Turn { branches, ahead } => Some((*branches, *ahead)),
            _ => None,
        });
        same("turn", &turn, &self.turn(id))
    }

    fn ahead(&self, id: Id) -> u64 {
        let spec = &self.model.jobs[&id].spec;
        let len = |level| self.model.lists.get(&(spec.tenant, spec.skill, level)).map_or(0, Line::len);
        let Some((line, at)) = self.position(id) else { return 0 };
        let own = if line.turns.is_empty() { at } else { 0 };
        let higher = (spec.level / 4 * 4..spec.level).map(len).sum::<usize>();
        (own + higher) as u64
    }

    /// Where a job is in its list.
    fn position(&self, id: Id) -> Option<(&Line, usize)> {
        let spec = &self.model.jobs[&id].spec;
        let line = self.model.lists.get(&spec.list())?;
        Some((line, line.of(spec.branch)?.iter().position(|&waiting| waiting == id)?))
    }

    /// How many branches take turns, and how many jobs of its own are before it.
    fn turn(&self, id: Id) -> Option<(u64, u64)> {
        let (line, at) = self.position(id)?;
        (!line.turns.is_empty()).then_some((line.turns.len() as u64, at as u64))
    }

    /// Codes of what keeps a job, but for other tenants' turns.
    fn reasons(&self, id: Id) -> BTreeSet<&'static str> {
        let (model, job) = (&self.model, &self.model.jobs[&id]);
        let (number, skill) = (job.spec.tenant, &SKILLS[job.spec.skill]);
        let of = &model.tenants[number];
        let paused = |flow: Option<&Flow>| flow == Some(&Flow::Paused);
        let timer = |is| matches!(job.place, Place::Timer(timer, _) if timer == is);
        let rate = (of.tat - f64::from(of.burst - 1) * f64::from(of.emit)).ceil();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
        let now = model.now as f64;
        let reasons = [
            ("scheduled", timer(Timer::Scheduled)),
            ("retry", timer(Timer::Retryable) && !job.note.starts_with("waits")),
            ("service", timer(Timer::Retryable) && job.note.starts_with("waits")),
            ("parked", timer(Timer::Parked) || of.hold > model.now),
            ("tenant_suspended", of.suspended),
            ("tenant_paused", of.paused),
            ("queue_paused", paused(model.queues.get(&skill.queue))),
            ("tenant_queue_paused", paused(of.queues.get(&skill.queue))),
            ("no_worker", self.workers(job.spec.skill) == 0),
            ("cap", of.cap.is_some_and(|cap| model.active(number) >= u64::from(cap))),
            ("type_cap", !model.type_has_room(number, skill.kind)),
            ("rate", of.emit > 0 && rate > now),
            ("jobs_ahead", self.ahead(id) > 0),
            ("turn", self.turn(id).is_some()),
        ];
        reasons.into_iter().filter_map(|(code, is)| is.then_some(code)).collect()
    }
}

const fn timer_state(timer: Timer) -> JobState {
    match timer {
        Timer::Scheduled => JobState::Scheduled,
        Timer::Retryable => JobState::Retryable,
        Timer::Parked => JobState::Parked,
    }
}
