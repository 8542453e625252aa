//! Claims as many jobs as there are free slots, never more, and waits when there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::claim::{Claim, ClaimedJob, FetchRequest, Fetched, Turn, VirtualTime};
use crate::describe::report;
use crate::encode;
use crate::error::QueueError;
use crate::finish::Verdict;
use crate::redis::Servers;
use crate::worker::claims::{ClaimId, Ticket, TicketGuard};
use crate::worker::shard_order::{NextShard, ShardOrder};
use crate::worker::watchers::{POLL, Wanted, Watchers, pop_marker, put_back};
use crate::worker::worker_queue::{Backoff, FetchedJob, Shared, jittered};

/// Most jobs in one claim.
const CLAIM_JOBS: usize = 200;
/// Least time between two fetches of which the first claimed fewer jobs than it might have. Without it, a worker that
/// is not busy, and Redis with it, would spend their time on claims of one or two jobs, and jobs would wait longer.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a feeder with no free slot waits until it proves that it is alive.
const PROOF: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    let shards = shared.queue.shards();
    let mut feeder = Feeder {
        order: ShardOrder::new(shards.end),
        reserve: Reserve::of(shared.options.reserve.min(shared.options.concurrency.saturating_sub(1))),
        asked: shards.clone().map(|_| Asked::default()).collect(),
        // A single shard is waited for where its jobs are fetched.
        watchers: (shards.len() > 1).then(|| Watchers::start(&shared)),
        markers: shared.queue.servers().separate(),
        backoff: Backoff::new(),
        delivery: None,
        shared,
    };
    while let Some(slots) = feeder.free_slots().await {
        feeder.step(slots).await;
    }
    feeder.delivered().await;
}

struct Feeder {
    shared: Arc<Shared>,
    order: ShardOrder,
    reserve: Reserve,
    asked: Vec<Asked>,
    watchers: Option<Watchers>,
    markers: Servers,
    backoff: Backoff,
    /// Of the last claim.
    delivery: Option<JoinHandle<()>>,
}

impl Feeder {
    /// Waits for free slots, and as long as the worker is told to claim nothing; `None` when it stops.
    async fn free_slots(&mut self) -> Option<OwnedSemaphorePermit> {
        if self.shared.is_fetching()
            && let Ok(first) = Arc::clone(&self.shared.slots).try_acquire_owned()
            && !self.shared.stopping.is_cancelled()
        {
            return Some(self.with_others(first));
        }
        self.set_has_capacity(false);
        let slots = self.next_slots().await;
        self.set_has_capacity(true);
        slots
    }

    async fn next_slots(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            self.shared.rests.store(!self.shared.is_fetching(), Ordering::Release);
            let slot = async {
                self.shared.told(true).await;
                Arc::clone(&self.shared.slots).acquire_owned().await
            };
            let slot = tokio::select! {
                () = self.shared.stopping.cancelled() => return None,
                slot = tokio::time::timeout(PROOF, slot) => slot,
            };
            match slot {
                Ok(Ok(first)) if self.shared.is_fetching() => {
                    self.shared.rests.store(false, Ordering::Release);
                    return Some(self.with_others(first));
                }
                // Told to claim nothing while it waited for the slot.
                Ok(Ok(_)) => {}
                Ok(Err(_closed)) => return None,
                Err(_elapsed) => self.prove().await,
            }
        }
    }

    fn set_has_capacity(&self, has_capacity: bool) {
        if let Some(watchers) = &self.watchers {
            watchers.set_has_capacity(has_capacity);
        }
    }

    fn with_others(&self, mut first: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        let others = self.shared.slots.available_permits().min(CLAIM_JOBS - 1);
        let others = u32::try_from(others).unwrap_or(0);
        if others > 0
            && let Ok(others) = Arc::clone(&self.shared.slots).try_acquire_many_owned(others)
        {
            first.merge(others);
        }
        first
    }

    async fn prove(&self) {
        match self.shared.queue.ping_any().await {
            Ok(()) => self.shared.polled(),
            Err(error) => tracing::debug!(%error, "no sign of life from redis"),
        }
    }

    /// Fetches from the shard whose turn it is, or waits until one is due.
    async fn step(&mut self, slots: OwnedSemaphorePermit) {
        if let Some(watchers) = &self.watchers {
            watchers.noted().for_each(|shard| self.order.woken(shard));
        }
        let open = self.reserve.open(slots.num_permits() + self.shared.slots.available_permits());
        if open == 0 {
            return self.serve_newcomers(slots).await;
        }
        match self.order.next(Instant::now()) {
            NextShard::Ask { shard, turn } => self.feed((shard, turn), open, slots).await,
            NextShard::Wait { until } => {
                drop(slots);
                self.wait_for_any(until).await;
            }
        }
    }

    /// Fetches for the reserved slots, from newcomers only. A claim whose answer is lost is returned by the next
    /// fetch.
    async fn serve_newcomers(&mut self, slots: OwnedSemaphorePermit) {
        self.set_has_capacity(false);
        let shard = self.reserve.newcomer(&self.shared, slots.num_permits()).await;
        self.set_has_capacity(true);
        let Some(shard) = shard else { return };
        // Counted from before the call, so that the worker never believes in the lease for longer than Redis does.
        let lease_end = Instant::now() + self.shared.queue.config().lease;
        let turn = Some(self.order.turn_of_newcomers(shard));
        match self.shared.queue.fetch_ids(self.request((shard, turn), slots.num_permits(), 1)).await {
            Ok(answer) => {
                self.asked(shard).attempt += 1;
                self.reserve.fetched(matches!(answer, Fetched::Claim(_)));
                if let Fetched::Claim(claim) = answer {
                    self.deliver(claim, slots, lease_end).await;
                }
            }
            Err(error) => self.wait_after(&error, "cannot fetch newcomers' jobs, trying again").await,
        }
    }

    fn request(&self, (shard, turn): (u16, Option<Turn>), limit: usize, quantum: u32) -> FetchRequest<'_> {
        FetchRequest {
            worker: &self.shared.name,
            attempt: self.asked[usize::from(shard)].attempt,
            shard,
            turn,
            skills: &self.shared.options.skills,
            limit,
            quantum,
        }
    }

    /// Fetches from a single shard until it answers; with several shards, once. A claim whose answer was lost is
    /// requested again with the same number, because leaving it to its lease would delay its jobs.
    async fn feed(&mut self, (shard, turn): (u16, Option<Turn>), open: usize, slots: OwnedSemaphorePermit) {
        if let Some(watchers) = &self.watchers {
            watchers.want(shard, Wanted::Nothing);
        }
        let started = Instant::now();
        let lease = self.shared.queue.config().lease;
        let limit = open.min(slots.num_permits());
        while !self.shared.stopping.is_cancelled() && started.elapsed() < lease / 3 {
            let request = self.request((shard, turn), limit, self.shared.options.quantum);
            match self.shared.queue.fetch_ids(request).await {
                Ok(answer) => {
                    self.backoff.reset();
                    self.shared.polled();
                    self.asked(shard).attempt += 1;
                    self.asked(shard).failures = 0;
                    let asked = Asking { shard, limit, started };
                    return self.use_answer(asked, answer, slots).await;
                }
                Err(error) if self.watchers.is_some() => return self.give_up(shard, &error),
                Err(error) => self.wait_after(&error, "cannot fetch jobs, trying again").await,
            }
        }
    }

    /// Marks the shard as failed. Other shards must not wait for it, nor find out one by one that a server they share
    /// does not answer.
    fn give_up(&mut self, shard: u16, error: &QueueError) {
        tracing::warn!(
            queue.shard = shard,
            error = crate::describe::report(error),
            "cannot fetch jobs of a shard"
        );
        let Some(watchers) = &self.watchers else { return };
        let failures = self.asked[usize::from(shard)].failures;
        self.asked[usize::from(shard)].failures += 1;
        let wait = jittered(Duration::from_millis(50) * 2_u32.pow(failures.min(5)));
        for shard in self.shared.queue.servers().together_with(shard) {
            self.order.away(shard);
            watchers.want(shard, Wanted::Life { wait });
        }
    }

    fn asked(&mut self, shard: u16) -> &mut Asked {
        &mut self.asked[usize::from(shard)]
    }

    async fn wait_after(&mut self, error: &QueueError, what: &str) {
        tracing::warn!(error = crate::describe::report(error), "{what}");
        tokio::select! {
            () = self.shared.stopping.cancelled() => {}
            () = self.backoff.wait() => {}
        }
    }

    async fn use_answer(&mut self, asking: Asking, answer: Fetched, slots: OwnedSemaphorePermit) {
        let Asking { shard, limit, started } = asking;
        match answer {
            Fetched::Claim(claim) => {
                self.asked(shard).again = 0;
                // A single shard is asked again, until it answers with nothing.
                let pause = if claim.jobs.len() < limit { PAUSE } else { Duration::ZERO };
                self.order.answered(shard, claim.virtual_time, started + pause);
                let lease_end = started + self.shared.queue.config().lease;
                self.deliver(claim, slots, lease_end).await;
            }
            Fetched::Nothing { next_in, more, skill_numbers, virtual_time } => {
                drop(slots);
                let wait = if more { self.asked(shard).ask_again_in() } else { idle_wait(next_in) };
                self.asked(shard).skills = skill_numbers;
                let idle = VirtualTime { next: None, ..virtual_time };
                self.order.answered(shard, idle, Instant::now() + wait);
                self.watch(shard, wait, more).await;
            }
        }
    }

    /// Reads the claimed records in the background, so that Redis can make the next claim meanwhile. Waits for the
    /// previous delivery first, so that there is one at a time.
    async fn deliver(&mut self, claim: Claim, slots: OwnedSemaphorePermit, lease_end: Instant) {
        self.delivered().await;
        if claim.has_records {
            return deliver(&self.shared, claim, slots, lease_end).await;
        }
        let shared = Arc::clone(&self.shared);
        self.delivery = Some(tokio::spawn(async move { deliver(&shared, claim, slots, lease_end).await }));
    }

    async fn delivered(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.await.ok();
        }
    }

    /// Waits for a wake-up marker of a single shard; with several shards, their watchers do that.
    async fn watch(&mut self, shard: u16, wait: Duration, more: bool) {
        let skills = std::mem::take(&mut self.asked(shard).skills);
        if !more {
            self.asked(shard).again = 0;
        }
        match &self.watchers {
            Some(_) if more || skills.is_empty() => {}
            Some(watchers) => watchers.want(shard, Wanted::Work { skills }),
            None if more || skills.is_empty() => tokio::time::sleep(wait).await,
            None => self.wait_for_marker(shard, &skills, wait).await,
        }
    }

    /// Waits for a wake-up by a watcher, for `until`, or for the stop.
    async fn wait_for_any(&self, until: Option<Instant>) {
        let wait = until.map_or(POLL, |until| until.saturating_duration_since(Instant::now()));
        let ring = async {
            match &self.watchers {
                Some(watchers) => watchers.any().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stopping.cancelled() => {}
            () = self.shared.told(false) => {}
            () = ring => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    async fn wait_for_marker(&mut self, shard: u16, skills: &[u64], wait: Duration) {
        let popped = tokio::select! {
            () = self.shared.stopping.cancelled() => return,
            popped = pop_marker(&self.shared.queue, &self.markers, (shard, skills), wait) => popped,
        };
        self.order.woken(shard);
        match popped {
            Ok(Some(marker)) if !self.shared.is_fetching() => {
                if let Err(error) = put_back(&self.markers, shard, &marker).await {
                    tracing::debug!(queue.shard = shard, %error, "a marker is lost, the poll will do");
                }
            }
            Ok(_) => self.shared.polled(),
            Err(error) => self.wait_after(&error, "cannot wait for jobs, trying again").await,
        }
    }
}

/// A fetch that was answered.
struct Asking {
    shard: u16,
    /// How many jobs it might have claimed.
    limit: usize,
    /// When it began: the lease is not counted from later.
    started: Instant,
}

/// The wait until the next timer, limited to the fallback poll.
fn idle_wait(next_in: Option<Duration>) -> Duration {
    next_in.unwrap_or(POLL).clamp(SHORTEST, jittered(POLL))
}

/// The shortest wait.
pub(super) const SHORTEST: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Number of the next request. It stays the same until the request is answered, so that a repeated request returns
    /// the same claim.
    pub(super) attempt: u64,
    /// Answers "ask again" in a row.
    pub(super) again: u32,
    /// Calls without an answer in a row.
    pub(super) failures: u32,
    pub(super) skills: Vec<u64>,
}

impl Asked {
    /// How long to wait after an answer "ask again". Usually there are one or two in a row, but with a damaged index
    /// they might never end, which must not become a busy loop.
    pub(super) fn ask_again_in(&mut self) -> Duration {
        self.again += 1;
        SHORTEST * 2_u32.pow((self.again - 1).min(8))
    }
}

/// Minimum time between two looks for newcomers.
const NEWCOMERS_LOOK: Duration = Duration::from_micros(500);
/// The longest wait, as a power of two of [`NEWCOMERS_LOOK`], after newcomers that were seen but could not be fetched.
const LONGEST_LOOK: u32 = 6;

/// Keeps free slots for newcomers, partitions that have nothing running. Without it, a partition with a long backlog
/// takes every slot, and the next partition waits until one of its jobs ends: minutes, when the jobs are long, and
/// jobs of the same length all end at once, again and again.
#[derive(Debug)]
pub(super) struct Reserve {
    size: usize,
    /// How often in a row a newcomer was gone or could not be served when its job was fetched.
    missed: u32,
}

impl Reserve {
    pub(super) const fn of(size: usize) -> Self {
        Self { size, missed: 0 }
    }

    /// How many of `free` slots are open to all partitions.
    pub(super) const fn open(&self, free: usize) -> usize {
        free.saturating_sub(self.size)
    }

    /// Records the result of fetching a newcomer's job.
    pub(super) fn fetched(&mut self, found: bool) {
        self.missed = if found { 0 } else { (self.missed + 1).min(LONGEST_LOOK) };
    }

    /// Waits until a newcomer has work, and returns its shard; `None` when there are slots for all partitions again,
    /// or the worker stops, or is told to claim nothing. `held` of the free slots are the caller's.
    pub(super) async fn newcomer(&self, shared: &Shared, held: usize) -> Option<u16> {
        tokio::select! {
            () = shared.stopping.cancelled() => None,
            () = shared.told(false) => None,
            () = self.room(shared, held) => None,
            shard = self.look(shared) => Some(shard),
        }
    }

    async fn room(&self, shared: &Shared, held: usize) {
        let missing = u32::try_from((self.size + 1).saturating_sub(held)).unwrap_or(u32::MAX);
        drop(shared.slots.acquire_many(missing).await);
    }

    /// Polls instead of waiting for a marker: taking a marker would keep it from a worker that has slots for all
    /// partitions.
    async fn look(&self, shared: &Shared) -> u16 {
        loop {
            tokio::time::sleep(NEWCOMERS_LOOK * 2_u32.pow(self.missed)).await;
            for shard in shared.queue.shards() {
                match shared.queue.newcomers(shard, &shared.options.skills).await {
                    Ok(true) => return shard,
                    Ok(false) => shared.polled(),
                    Err(error) => tracing::debug!(queue.shard = shard, %error, "cannot look for newcomers"),
                }
            }
        }
    }
}

/// Reads the records of claimed jobs and hands them to apalis, each with its slot. When the records cannot be read for
/// long, the claim is left to expire with its lease.
pub(super) async fn deliver(
    shared: &Shared,
    mut claim: Claim,
    mut slots: OwnedSemaphorePermit,
    lease_end: Instant,
) {
    let lease = shared.queue.config().lease;
    let mut backoff = Backoff::new();
    while !claim.has_records
        && let Err(error) = shared.queue.read_records(&mut claim).await
    {
        tracing::warn!(error = report(&error), queue.shard = claim.shard, "cannot read jobs, trying again");
        if shared.stopping.is_cancelled() || Instant::now() + lease * 2 / 3 > lease_end {
            return;
        }
        backoff.wait().await;
    }
    let mut tasks = Vec::with_capacity(claim.jobs.len());
    let id = ClaimId { shard: claim.shard, fence: claim.fence };
    for (place, job) in claim.jobs.iter_mut().enumerate() {
        let place = (id, place);
        // An answer that got lost may bring more than there are slots now.
        let Some(slot) = slots.split(1) else {
            give_back(shared, job, place, lease_end).await;
            continue;
        };
        match admit(shared, job, place, slot, lease_end) {
            Ok(task) => tasks.push(task),
            Err((ticket, code)) => quarantine(shared, &ticket, code).await,
        }
    }
    // Dropping a task gives its job back.
    drop(shared.buffer.add(tasks));
}

async fn give_back(shared: &Shared, job: &ClaimedJob, place: (ClaimId, usize), lease_end: Instant) {
    let ticket = Arc::new(Ticket::new(job, place, 0, None, None));
    shared.claims.add(&ticket, lease_end);
    if ticket.settle() {
        let request = ticket.request(Verdict::Released.into());
        shared.finishes(job.shard).send(request).await.ok();
    }
}

/// The job as a task; or, when the queue's own record of it cannot be used, why.
fn admit(
    shared: &Shared,
    job: &mut ClaimedJob,
    place: (ClaimId, usize),
    slot: OwnedSemaphorePermit,
    lease_end: Instant,
) -> Result<Task<FetchedJob>, (Arc<Ticket>, &'static str)> {
    let record = job.record.take().map(Bytes::from);
    let read = record.as_deref().and_then(encode::parse).filter(|read| read.partition == &*job.partition);
    let ids = job.partition.parse().ok().zip(job.id.parse().ok());
    let (Some(bytes), Some(read), Some((partition, job_id))) = (&record, read, ids) else {
        let code = if record.is_some() { "record_damaged" } else { "record_missing" };
        let ticket = Arc::new(Ticket::new(job, place, 0, None, Some(slot)));
        shared.claims.add(&ticket, lease_end);
        return Err((ticket, code));
    };
    let payload = bytes.slice_ref(read.payload);
    let ticket = Arc::new(Ticket::new(job, place, read.attempts, Some(payload.clone()), Some(slot)));
    shared.claims.add(&ticket, lease_end);
    let fetched = FetchedJob {
        partition,
        id: job_id,
        payload,
        attempts: read.attempts,
        deaths: read.deaths,
        interruptions: read.interruptions,
        parks: read.parks,
        redriven: read.redriven,
        fence: ticket.claim.fence,
        cancel: ticket.cancel.clone(),
        called_off: Arc::clone(&ticket.called_off),
    };
    let guard = TicketGuard { ticket, finishes: shared.finishes(job.shard).clone() };
    Ok(TaskBuilder::new(fetched).data(Arc::new(guard)).build())
}

async fn quarantine(shared: &Shared, ticket: &Arc<Ticket>, code: &'static str) {
    let reason = "the queue's own record of the job cannot be used".to_owned();
    if ticket.settle() {
        let request = ticket.request(Verdict::Quarantined { code, reason }.into());
        shared.finishes(ticket.claim.shard).send(request).await.ok();
        shared.report_quarantined(&ticket.partition, &ticket.id, None, code);
    }
}
