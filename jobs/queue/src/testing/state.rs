//! The state of the queue in memory, and the order in which it serves jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::answers::{JobState, Kept};
use crate::encode;
use crate::id::PartitionId;
use crate::id::{GroupId, JobId};
use crate::job::{Branch, Lane, NewJob, Priority, Skill, UniqueScope, kind_of};
use crate::limits::{Flow, PartitionShare};
use crate::testing::changes::{Group, KeyHolder};
use crate::worker::worker_queue::FetchedJob;

/// Dead letters and quarantined jobs kept, per partition and kind.
const KEEP: usize = 10_000;

/// Everything in the queue.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The virtual time of the partition that was served last.
    pub(super) virtual_clock: u64,
    pub(super) last_fence: u64,
    pub(super) partitions: BTreeMap<PartitionId, Partition>,
    pub(super) jobs: HashMap<JobId, Job>,
    pub(super) claims: BTreeMap<u64, Claim>,
    /// When a worker last said that it serves a skill.
    pub(super) declared_ms: HashMap<String, i64>,
    /// The queue that a skill belongs to.
    pub(super) queue_of: HashMap<String, String>,
    /// Queues that are paused or drain, for all partitions.
    pub(super) flows: HashMap<String, Flow>,
}

/// The letter of a timer in the queue on Redis, which is part of the order in which timers go off.
const fn timer(state: JobState) -> &'static str {
    match state {
        JobState::Parked => "k",
        JobState::Scheduled => "s",
        _ => "y",
    }
}

impl State {
    pub(super) fn partition(&mut self, name: &PartitionId) -> &mut Partition {
        self.partitions.entry(name.clone()).or_default()
    }

    /// Lets a job wait until `due_ms`, or at the end of its list when that has come.
    pub(super) fn put(&mut self, id: JobId, state: JobState, due_ms: i64, now_ms: i64) {
        if due_ms <= now_ms {
            self.put_in_line(id, false);
        } else if let Some(job) = self.jobs.get_mut(&id) {
            job.place = Place::Timer(state, due_ms);
        }
    }

    pub(super) fn put_in_line(&mut self, id: JobId, first: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.place = Place::Waiting;
        let (key, branch) = (job.list(), job.branch.clone());
        let partition = self.partitions.entry(job.partition.clone()).or_default();
        partition.lists.entry(key).or_default().push(branch, id, first);
    }

    /// Partitions that may run again, or for the first time, begin at the present virtual time: no credit for idle
    /// time.
    pub(super) fn settle(&mut self, now_ms: i64) {
        for partition in self.partitions.values_mut() {
            let waits = partition.lists.values().any(|list| !list.is_empty());
            if waits && partition.may_run(now_ms) {
                partition.virtual_time = partition.virtual_time.max(self.virtual_clock);
            }
        }
    }

    /// Moves jobs that are due into their lists.
    pub(super) fn promote(&mut self, now_ms: i64) {
        let mut due: BTreeMap<(&str, &PartitionId), Vec<(i64, JobId)>> = BTreeMap::new();
        for (id, job) in &self.jobs {
            if let Place::Timer(state, due_ms) = job.place
                && due_ms <= now_ms
            {
                due.entry((timer(state), &job.partition)).or_default().push((due_ms, *id));
            }
        }
        let mut timers: Vec<_> = due.into_values().collect();
        for timer in &mut timers {
            timer.sort_unstable();
        }
        // By due time; those of the same moment by kind and partition.
        timers.sort_by_key(|timer| timer.first().map(|(due_ms, _)| *due_ms));
        for (_, id) in timers.concat() {
            self.put_in_line(id, false);
        }
    }

    /// Keeps a job that will not run by itself. The oldest makes room.
    pub(super) fn keep(&mut self, id: JobId, kept: Kept, why: String, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.place = Place::Kept { kept, since_ms: now_ms, why };
        let name = job.partition.clone();
        let totals = &mut self.partition(&name).totals;
        match kept {
            Kept::Discarded => totals.discarded += 1,
            Kept::Quarantined => totals.quarantined += 1,
        }
        self.free_key(id);
        for (_, old) in self.kept_of(&name, kept).iter().skip(KEEP) {
            self.jobs.remove(old);
        }
    }

    /// Since when which jobs of a partition are kept, newest first.
    pub(super) fn kept_of(&self, partition: &PartitionId, which: Kept) -> Vec<(i64, JobId)> {
        let kept = |(id, job): (&JobId, &Job)| match &job.place {
            Place::Kept { kept, since_ms, .. } if *kept == which && job.partition == *partition => {
                Some((*since_ms, *id))
            }
            _ => None,
        };
        let mut all: Vec<_> = self.jobs.iter().filter_map(kept).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all
    }
}

/// The waiting jobs of one skill, lane and priority, whose branches take turns.
#[derive(Debug, Default)]
pub(super) struct List {
    /// The branches that have jobs, in turn.
    pub(super) turns: VecDeque<Branch>,
    jobs: HashMap<Branch, VecDeque<JobId>>,
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// A job that is given back is the first of its branch.
    pub(super) fn push(&mut self, branch: Branch, id: JobId, first: bool) {
        let jobs = self.jobs.entry(branch.clone()).or_default();
        if jobs.is_empty() {
            if first { self.turns.push_front(branch) } else { self.turns.push_back(branch) }
        }
        if first { jobs.push_front(id) } else { jobs.push_back(id) }
    }

    /// The position of a job among those of its branch.
    pub(super) fn position(&self, branch: &Branch, id: JobId) -> Option<usize> {
        self.jobs.get(branch)?.iter().position(|waiting| *waiting == id)
    }

    pub(super) fn insert(&mut self, branch: Branch, at: usize, id: JobId) {
        let jobs = self.jobs.entry(branch).or_default();
        jobs.insert(at.min(jobs.len()), id);
    }

    pub(super) fn remove(&mut self, branch: &Branch, id: JobId) {
        let Some(jobs) = self.jobs.get_mut(branch) else { return };
        jobs.retain(|waiting| *waiting != id);
        if jobs.is_empty() {
            self.turns.retain(|turn| turn != branch);
        }
    }

    /// Up to `limit` jobs of the branches in turn, as many of each as fit into one round.
    fn take(&mut self, limit: usize) -> Vec<JobId> {
        let each = (limit / self.turns.len().max(1)).max(1);
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(branch) = self.turns.pop_front()
        {
            let jobs = self.jobs.entry(branch.clone()).or_default();
            taken.extend(jobs.drain(..each.min(limit - taken.len()).min(jobs.len())));
            if !jobs.is_empty() {
                self.turns.push_back(branch);
            }
        }
        taken
    }
}

/// Virtual cost of one job at weight 1.
pub(super) const STRIDE: u64 = 10_000;
/// How many finished ids of a partition are remembered.
const RECENT: usize = 200;

/// The state of one partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// Virtual time: how much it was served, by its weight.
    pub(super) virtual_time: u64,
    /// Visits so far; every eighth begins at a lower priority.
    pub(super) visits: u64,
    pub(super) weight: u64,
    pub(super) cap: usize,
    pub(super) interval_ms: i64,
    pub(super) burst: i64,
    pub(super) paused: bool,
    pub(super) suspended: bool,
    pub(super) draining: bool,
    /// Maximum number of running jobs by type.
    pub(super) type_caps: BTreeMap<String, usize>,
    pub(super) quotas: Quotas,
    /// Queues of this partition that are paused or drain.
    pub(super) flows: HashMap<String, Flow>,
    /// Theoretical arrival time of the rate limit.
    pub(super) arrival_ms: i64,
    /// Not before this, because one of its jobs was parked.
    pub(super) hold_ms: i64,
    /// Waiting jobs by skill, and the level of lane and priority.
    pub(super) lists: BTreeMap<(String, u8), List>,
    pub(super) active: BTreeSet<JobId>,
    pub(super) groups: HashMap<GroupId, Group>,
    /// The group that waits for a job.
    pub(super) member_of: HashMap<JobId, GroupId>,
    /// Unique keys that are taken.
    pub(super) keys: HashMap<String, KeyHolder>,
    pub(super) totals: Totals,
    /// Ids, and whether they completed.
    recent: VecDeque<(JobId, bool)>,
}

/// How much may wait; 0 for no limit.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    pub(super) jobs: u64,
    pub(super) bytes: u64,
    pub(super) scheduled: u64,
}

/// The number of ended jobs by outcome.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) completed: u64,
    pub(super) cancelled: u64,
    pub(super) discarded: u64,
    pub(super) quarantined: u64,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            virtual_time: 0,
            visits: 0,
            weight: 1,
            cap: usize::MAX,
            interval_ms: 0,
            burst: 1,
            paused: false,
            suspended: false,
            draining: false,
            type_caps: BTreeMap::new(),
            quotas: Quotas::default(),
            flows: HashMap::new(),
            arrival_ms: 0,
            hold_ms: 0,
            lists: BTreeMap::new(),
            active: BTreeSet::new(),
            groups: HashMap::new(),
            member_of: HashMap::new(),
            keys: HashMap::new(),
            totals: Totals::default(),
            recent: VecDeque::new(),
        }
    }
}

impl Partition {
    pub(super) fn set(&mut self, share: &PartitionShare) {
        if let Some(weight) = share.weight {
            self.weight = u64::from(weight.clamp(1, 100));
        }
        if let Some(cap) = share.cap {
            self.cap = if cap == u32::MAX { usize::MAX } else { cap as usize };
        }
        if let Some(interval_ms) = share.interval_ms {
            self.interval_ms = i64::from(interval_ms);
        }
        if let Some(burst) = share.burst {
            self.burst = i64::from(burst.max(1));
        }
        for (kind, cap) in &share.type_caps {
            match cap {
                Some(cap) => drop(self.type_caps.insert(kind.clone(), *cap as usize)),
                None => drop(self.type_caps.remove(kind)),
            }
        }
        self.quotas = Quotas {
            jobs: share.backlog_jobs.unwrap_or(self.quotas.jobs),
            bytes: share.backlog_bytes.unwrap_or(self.quotas.bytes),
            scheduled: share.scheduled_jobs.unwrap_or(self.quotas.scheduled),
        };
        self.paused = share.paused.unwrap_or(self.paused);
        self.suspended = share.suspended.unwrap_or(self.suspended);
        self.draining = share.draining.unwrap_or(self.draining);
        self.flows.extend(share.queues.iter().map(|(queue, flow)| (queue.clone(), *flow)));
        self.hold_ms = 0;
    }

    /// When its rate and its parked jobs let it run.
    pub(super) fn blocked_until(&self) -> i64 {
        if self.interval_ms == 0 {
            return self.hold_ms;
        }
        self.hold_ms.max(self.arrival_ms - (self.burst - 1) * self.interval_ms)
    }

    /// Whether nothing but a lack of jobs keeps it from running.
    pub(super) fn may_run(&self, now_ms: i64) -> bool {
        !self.paused && !self.suspended && self.active.len() < self.cap && self.blocked_until() <= now_ms
    }

    /// How many jobs may start now, as far as cap and rate go.
    pub(super) fn allowance(&self, now_ms: i64) -> usize {
        let slots = self.cap.saturating_sub(self.active.len());
        if self.interval_ms == 0 {
            return slots;
        }
        let ahead_ms = (self.arrival_ms - now_ms).max(0);
        let used = (ahead_ms + self.interval_ms - 1) / self.interval_ms;
        slots.min(usize::try_from(self.burst - used).unwrap_or(0))
    }

    /// Pays for `count` jobs that start now.
    pub(super) fn charge(&mut self, count: usize, now_ms: i64) {
        self.virtual_time += count as u64 * STRIDE / self.weight;
        if self.interval_ms > 0 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.arrival_ms = self.arrival_ms.max(now_ms) + count * self.interval_ms;
        }
    }

    pub(super) fn waits_in(&self, skill: &str) -> bool {
        let levels = self.lists.iter().filter(|((name, _), _)| name == skill);
        levels.into_iter().any(|(_, list)| !list.is_empty())
    }

    pub(super) fn remember(&mut self, id: JobId, completed: bool) {
        self.recent.push_front((id, completed));
        self.recent.truncate(RECENT);
    }

    /// Whether the job completed recently (`true`) or was cancelled (`false`), the last time that it ended.
    pub(super) fn remembered(&self, id: JobId) -> Option<bool> {
        self.recent.iter().find(|(known, _)| *known == id).map(|(_, completed)| *completed)
    }
}

/// One job that the queue has.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) partition: PartitionId,
    pub(super) skill: String,
    pub(super) lane: Lane,
    pub(super) priority: Priority,
    pub(super) branch: Branch,
    pub(super) payload: Bytes,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) interruptions: u32,
    pub(super) parks: u32,
    /// Whether it was kept and started again.
    pub(super) redriven: bool,
    /// The last failure: code, space, text.
    pub(super) note: String,
    /// The unique key that it has, or takes again when it is redriven.
    pub(super) key: Option<(UniqueScope, String)>,
    pub(super) place: Place,
    /// The stop that was requested while it runs.
    pub(super) stop: Stop,
    token: CancellationToken,
    called_off: Arc<AtomicBool>,
}

/// The state of a job: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    /// Scheduled, retryable or parked, until a time in milliseconds.
    Timer(JobState, i64),
    /// Claimed under this fence.
    Active(u64),
    Kept {
        kept: Kept,
        since_ms: i64,
        /// Code, line end, text.
        why: String,
    },
}

/// Why a running job is to stop, if it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stop {
    /// It was cancelled.
    pub(super) cancelled: bool,
    /// Cancelled together with all work of its partition.
    pub(super) with_partition: bool,
}

impl Stop {
    pub(super) const fn is_wanted(self) -> bool {
        self.cancelled || self.with_partition
    }
}

impl Job {
    pub(super) fn new(job: &NewJob) -> Self {
        Self {
            partition: job.partition.clone(),
            skill: job.skill.to_string(),
            lane: job.lane,
            priority: job.priority,
            branch: job.branch.clone(),
            payload: job.payload.clone(),
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            parks: 0,
            redriven: false,
            note: String::new(),
            key: None,
            place: Place::Waiting,
            stop: Stop::default(),
            token: CancellationToken::new(),
            called_off: Arc::default(),
        }
    }

    /// The list in which it waits.
    pub(super) fn list(&self) -> (String, u8) {
        (self.skill.clone(), self.lane.level(self.priority))
    }

    /// The job's type: a skill is `type@version`.
    pub(super) fn kind(&self) -> &str {
        kind_of(&self.skill)
    }

    pub(super) const fn is_kept(&self) -> bool {
        matches!(self.place, Place::Kept { .. })
    }

    /// The size in bytes of the record that the queue on Redis would have.
    pub(super) fn size_bytes(&self) -> u64 {
        let Self { partition, skill, branch, note, payload, .. } = self;
        let branch = branch.as_str().len() + usize::from(!branch.as_str().is_empty());
        (16 + skill.len() + branch + partition.as_str().len() + note.len() + 3 + payload.len()) as u64
    }

    pub(super) fn start(&mut self, id: JobId, fence: u64) -> FetchedJob {
        self.place = Place::Active(fence);
        self.stop = Stop::default();
        self.token = CancellationToken::new();
        self.called_off = Arc::default();
        FetchedJob {
            partition: self.partition.clone(),
            id,
            payload: self.payload.clone(),
            attempts: self.attempts,
            deaths: self.deaths,
            interruptions: self.interruptions,
            parks: self.parks,
            redriven: self.redriven,
            fence,
            cancel: self.token.clone(),
            called_off: Arc::clone(&self.called_off),
        }
    }

    /// Sends the stop signal to the worker that runs it.
    pub(super) fn tell_to_stop(&mut self) {
        self.called_off.store(true, Ordering::Release);
        self.token.cancel();
    }
}

/// The levels of priority.
const LEVELS: u8 = 4;

/// The parameters of one fetch, and its free slots.
pub(super) struct Serving<'a> {
    pub(super) skills: &'a [String],
    pub(super) quantum: usize,
    pub(super) left: usize,
    pub(super) now_ms: i64,
}

impl State {
    /// Takes jobs, one visit after the other: the partition with the smallest virtual time first.
    pub(super) fn serve(&mut self, mut serving: Serving<'_>) -> Vec<(PartitionId, Vec<JobId>)> {
        let mut taken = Vec::new();
        while serving.left > 0 {
            let Some(name) = self.next_partition(&serving) else { break };
            let ids = self.visit(&name, &serving);
            if ids.is_empty() {
                break;
            }
            serving.left -= ids.len();
            taken.push((name, ids));
        }
        taken
    }

    fn next_partition(&self, serving: &Serving<'_>) -> Option<PartitionId> {
        let ready = self.partitions.iter().filter(|(name, partition)| {
            let servable = |skill: &String| partition.waits_in(skill) && self.room(name, skill) > 0;
            partition.may_run(serving.now_ms) && serving.skills.iter().any(servable)
        });
        ready.min_by_key(|(name, partition)| (partition.virtual_time, *name)).map(|(name, _)| name.clone())
    }

    fn visit(&mut self, name: &PartitionId, serving: &Serving<'_>) -> Vec<JobId> {
        let clock = self.virtual_clock;
        let partition = self.partition(name);
        partition.virtual_time = partition.virtual_time.max(clock);
        let start = partition.virtual_time;
        let want = serving.left.min(serving.quantum).min(partition.allowance(serving.now_ms));
        partition.visits += 1;
        let (levels, first) = partition.order(serving.skills.len());
        let mut ids = Vec::new();
        for level in levels {
            for skill in 0..serving.skills.len() {
                let skill = &serving.skills[(first + skill) % serving.skills.len()];
                let more = self.room(name, skill).min(want - ids.len());
                ids.extend(self.take(name, skill, level, more));
            }
        }
        for id in &ids {
            self.free_key_at_start(*id);
        }
        self.partition(name).charge(ids.len(), serving.now_ms);
        self.virtual_clock = start;
        ids
    }

    fn take(&mut self, name: &PartitionId, skill: &str, level: u8, limit: usize) -> Vec<JobId> {
        let partition = self.partition(name);
        let Some(list) = partition.lists.get_mut(&(skill.to_owned(), level)) else { return Vec::new() };
        let taken = list.take(limit);
        partition.active.extend(&taken);
        taken
    }
}

impl Partition {
    /// The levels in the order of this visit, and which skill is first. While both lanes have jobs, every fifth visit
    /// begins with bulk.
    fn order(&self, skills: usize) -> (Vec<u8>, usize) {
        let has = |lane: Lane| {
            let mut levels =
                self.lists.iter().filter(|(_, list)| !list.is_empty()).map(|((_, level), _)| *level);
            levels.any(|level| Lane::from_level(level.into()).0 == lane)
        };
        let of_bulk = self.visits / Lane::BULK_TURN;
        let (lane, visit) = match (has(Lane::Interactive), has(Lane::Bulk)) {
            (_, false) => (Lane::Interactive, self.visits),
            (false, true) => (Lane::Bulk, self.visits),
            _ if self.visits.is_multiple_of(Lane::BULK_TURN) => (Lane::Bulk, of_bulk),
            _ => (Lane::Interactive, self.visits - of_bulk),
        };
        let (levels, first) = order(visit, skills);
        let lanes = Lane::ALL.into_iter().filter(|other| *other == lane);
        let lanes = lanes.chain(Lane::ALL.into_iter().filter(|other| *other != lane));
        let levels = |lane: Lane| {
            levels
                .iter()
                .map(move |level| lane.level(Priority::from_level((*level).into())))
                .collect::<Vec<_>>()
        };
        (lanes.flat_map(levels).collect(), first)
    }
}

/// The levels of a lane in the order of a visit, and which skill is first. Every eighth visit begins at level 1, 2, 3
/// in turn.
fn order(visit: u64, skills: usize) -> (Vec<u8>, usize) {
    let (eighth, skills) = (visit / 8, skills.max(1) as u64);
    let (begin, first) = if visit.is_multiple_of(8) {
        (u8::try_from(eighth % 3).unwrap_or(0) + 1, (eighth / 3) % skills)
    } else {
        (0, (visit - eighth) % skills)
    };
    let others = (0..LEVELS).filter(|level| *level != begin);
    (std::iter::once(begin).chain(others).collect(), usize::try_from(first).unwrap_or(0))
}

/// The result of one fetch.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) lease_end_ms: i64,
    /// For each visit, the partition and its jobs.
    jobs: Vec<(PartitionId, Vec<JobId>)>,
}

impl State {
    pub(super) fn claim(
        &mut self,
        skills: &[Skill],
        limit: usize,
        quantum: usize,
        lease_ms: i64,
        now_ms: i64,
    ) -> Vec<FetchedJob> {
        self.promote(now_ms);
        self.settle(now_ms);
        for skill in skills {
            self.note_skill(skill);
        }
        let skills = self.flowing(skills.iter().map(ToString::to_string).collect());
        let jobs = self.serve(Serving { skills: &skills, quantum: quantum.max(1), left: limit, now_ms });
        if jobs.is_empty() {
            return Vec::new();
        }
        let fence = (self.last_fence + 1).max(u64::try_from(now_ms).unwrap_or(0) * 1_000);
        self.last_fence = fence;
        let ids = jobs.iter().flat_map(|(_, ids)| ids).copied();
        let fetched = ids.filter_map(|id| Some(self.jobs.get_mut(&id)?.start(id, fence))).collect();
        self.claims.insert(fence, Claim { lease_end_ms: now_ms + lease_ms, jobs });
        fetched
    }

    /// How long until time alone makes a job available.
    pub(super) fn next_in(&self, now_ms: i64) -> Option<Duration> {
        let timers = self.jobs.values().filter_map(|job| match job.place {
            Place::Timer(_, due_ms) => Some(due_ms),
            _ => None,
        });
        let limited = self.partitions.values().filter_map(|partition| {
            let waits = partition.lists.values().any(|list| !list.is_empty());
            let until = partition.blocked_until();
            let held = partition.paused || partition.suspended;
            (waits && !held && partition.active.len() < partition.cap && until > now_ms).then_some(until)
        });
        let next = timers.chain(limited).min()?;
        Some(Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0)))
    }

    pub(super) fn renew(&mut self, fence: u64, lease_ms: i64, now_ms: i64) -> bool {
        let held = self.claims.get_mut(&fence);
        held.map(|claim| claim.lease_end_ms = now_ms + lease_ms).is_some()
    }

    /// Removes a claim, and with it its lease, when all its jobs have ended.
    pub(super) fn forget_if_done(&mut self, fence: u64) {
        let held = |id: &JobId| self.jobs.get(id).is_some_and(|job| job.place == Place::Active(fence));
        let done = |claim: &Claim| !claim.jobs.iter().flat_map(|(_, ids)| ids).any(held);
        if self.claims.get(&fence).is_some_and(done) {
            self.claims.remove(&fence);
        }
    }

    /// Takes the jobs of workers that vanished away from them. Says which were quarantined.
    pub(super) fn reap(&mut self, max_deaths: u32, now_ms: i64) -> Vec<(PartitionId, JobId)> {
        let lapsed = self.claims.iter().filter(|(_, claim)| claim.lease_end_ms <= now_ms);
        let mut lapsed: Vec<(i64, u64)> = lapsed.map(|(fence, claim)| (claim.lease_end_ms, *fence)).collect();
        lapsed.sort_unstable();
        let (mut apart, mut quarantined) = (0, Vec::new());
        for (_, fence) in lapsed {
            let Some(claim) = self.claims.remove(&fence) else { continue };
            for (partition, ids) in claim.jobs {
                let held =
                    |id: &JobId| self.jobs.get(id).is_some_and(|job| job.place == Place::Active(fence));
                let held: Vec<JobId> = ids.into_iter().rev().filter(held).collect();
                for id in held {
                    if self.dies(&partition, id, max_deaths, &mut apart, now_ms) {
                        quarantined.push((partition.clone(), id));
                    }
                }
            }
        }
        self.settle(now_ms);
        quarantined
    }

    /// The job lost its worker. The first time it goes back at once; later it comes back with a delay that differs
    /// from job to job, so that a job that kills workers does not take its neighbours along. `true` when this was once
    /// too often.
    fn dies(
        &mut self,
        partition: &PartitionId,
        id: JobId,
        max_deaths: u32,
        apart: &mut i64,
        now_ms: i64,
    ) -> bool {
        self.partition(partition).active.remove(&id);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.stop.is_wanted() {
            self.called_off(partition, id, now_ms);
            return false;
        }
        job.deaths += 1;
        let deaths = job.deaths;
        if deaths >= max_deaths {
            let text = format!("{deaths} workers vanished while they ran this job");
            self.keep(id, Kept::Quarantined, encode::reason_line("worker_died", '\n', &text), now_ms);
            self.leave(partition, id, true, now_ms);
            return true;
        }
        job.note = "worker_died the worker that ran this job vanished".into();
        if deaths > 1 {
            *apart += 1;
            self.put(id, JobState::Retryable, now_ms + 1_000 * *apart, now_ms);
        } else {
            self.put_in_line(id, true);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_visit_begins_lower() {
        let begins: Vec<u8> = (1..=32).map(|visit| order(visit, 1).0[0]).collect();
        let lower: Vec<u8> = begins.iter().copied().filter(|begin| *begin > 0).collect();
        assert_eq!(lower, [2, 3, 1, 2]);
        assert_eq!([begins[7], begins[15], begins[23], begins[31]], [2, 3, 1, 2]);
    }
}
