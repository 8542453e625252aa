//! Compares what was accepted with what the queue has, and gives the queue again what it lost: all of it after a Redis
//! without its data, some after an older snapshot, a lost shard or a deleted key.
//!
//! The catalog knows what was asked for and has not ended (`stores::UnfinishedJobs`). For each of these jobs the
//! queue is asked, in one atomic look, whether the job, the group that it opened, or the continuation of that group
//! is there. What is not is looked up in the catalog once more, because it may have ended between the two; then one
//! of the workers that found it takes it, verifies it like any other job, and pushes the same signed bytes under the
//! same id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::clock::SharedClock;
use jobs::envelope::{Refusal, StampedJob, Verifier};
use jobs::error::report;
use jobs::queue::{Damage, PartitionId, Queue, Whereabouts};
use jobs::tenant::TenantId;
use stores::UnfinishedJobs;
use stores::model::{DocumentFault, QueuedDelivery, UnfinishedJob, UnfinishedKey};
use tokio_util::sync::CancellationToken;

use crate::limits_sync::{KeepError, LimitsKeeper};
use crate::metrics;
use crate::periodic::Pace;
use crate::registry::Registry;

const TURN: &str = "reconcile";
/// Jobs that are read and asked about at a time.
const PAGE: u32 = 500;
/// How long a walk through many jobs rests after each page, so that neither the catalog nor Redis notices it.
const REST: Duration = Duration::from_millis(100);
/// A job that is lost again and again is looked for less and less often, but at least every so many rounds.
const LONGEST: u32 = 64;
/// Lost jobs that are named in a report.
const NAMED: usize = 100;

/// Finds accepted work without a job.
pub struct Reconciler {
    /// What the queue should have.
    pub unfinished: Arc<UnfinishedJobs>,
    /// The queue.
    pub queue: Queue,
    /// Checks jobs before they are enqueued again.
    pub verifier: Verifier,
    /// Policies of the job types. A job of another type is left to a worker that knows it.
    pub registry: Arc<Registry>,
    /// Writes the settings of tenants, which a queue without its data has lost as well.
    pub limits: LimitsKeeper,
    /// Measures the age of jobs.
    pub clock: SharedClock,
    /// How often one of the workers looks, and how long a job is left alone after it was enqueued.
    pub every: Duration,
}

/// What a look at everything found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Jobs and deliveries that the queue was asked about.
    pub looked_at: u64,
    /// Jobs that were lost and are enqueued again.
    pub enqueued: u64,
    /// Jobs that were there but would not have gone on: put back, or let go of their group.
    pub mended: u64,
    /// Jobs that are expected no longer, because their work has ended.
    pub ended: u64,
    /// Jobs that will not be done, because they were cancelled, refused, or ended where the catalog did not learn it.
    pub given_up: u64,
    /// Deliveries of webhooks that are handed to the queue again.
    pub deliveries: u64,
    /// Lost jobs about which nothing could be done now: their tenant, a store or their type is not known at the moment.
    pub waiting: u64,
    /// The first of the lost jobs.
    pub lost: Vec<LostJob>,
}

/// A job that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostJob {
    /// Its tenant.
    pub tenant: TenantId,
    /// The job.
    pub id: JobId,
    /// Its type.
    pub kind: String,
}

impl Reconciled {
    /// Whether everything was where it belongs.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.enqueued + self.mended + self.given_up + self.deliveries + self.waiting == 0
    }

    fn name(&mut self, tenant: &TenantId, job: &StampedJob) {
        if self.lost.len() < NAMED {
            self.lost.push(LostJob { tenant: tenant.clone(), id: job.id(), kind: job.kind().to_owned() });
        }
    }
}

/// What to do about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Repair it.
    Repair,
    /// Only say what would be done.
    DryRun,
}

impl Reconciler {
    /// Reconciles until `stop` fires.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(self.every / 4);
        while pace.next(&stop).await {
            let done = tokio::select! {
                done = self.reconcile() => done,
                () = stop.cancelled() => return,
            };
            match done {
                Ok(done) if done.is_well() => {}
                Ok(done) => tracing::warn!(
                    jobs.looked_at = done.looked_at,
                    jobs.enqueued = done.enqueued,
                    jobs.mended = done.mended,
                    jobs.given_up = done.given_up,
                    jobs.waiting = done.waiting,
                    deliveries = done.deliveries,
                    "the queue had lost accepted work"
                ),
                Err(error) => tracing::warn!("accepted work was not looked for: {}", report(&error)),
            }
        }
    }

    /// Looks for lost work in the shards whose turn this process has. The lock for the turn lies in the queue, so a
    /// shard that lost its data is looked at again at once.
    ///
    /// # Errors
    /// When catalog or queue are not available.
    pub async fn reconcile(&self) -> Result<Reconciled, KeepError> {
        let shards = self.queue.turns(TURN, self.every).await?;
        if shards.is_empty() {
            return Ok(Reconciled::default());
        }
        let done = self.look(&shards, Mode::Repair).await;
        if done.is_err()
            && let Err(error) = self.queue.turns_end(TURN, &shards).await
        {
            tracing::debug!(error = report(&error), "the turn stays taken until its time is over");
        }
        done
    }

    /// Looks for lost work in all shards, without asking for their turns.
    ///
    /// # Errors
    /// When catalog or queue are not available.
    pub async fn everywhere(&self, mode: Mode) -> Result<Reconciled, KeepError> {
        self.look(&self.queue.shards().collect::<Vec<_>>(), mode).await
    }

    async fn look(&self, shards: &[u16], mode: Mode) -> Result<Reconciled, KeepError> {
        let before = self.clock.now() - self.every;
        let (mut done, mut after) = (Reconciled::default(), None);
        loop {
            let mut page = self.unfinished.page(before, after.as_ref(), PAGE).await?;
            after = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            page.retain(|key| shards.contains(&self.queue.home(&key.tenant_id)));
            self.jobs(page, mode, &mut done).await?;
            if after.is_none() {
                break;
            }
            tokio::time::sleep(REST).await;
        }
        let mut after = None;
        loop {
            let mut page = self.unfinished.deliveries(before, after.as_ref(), PAGE).await?;
            after = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            page.retain(|delivery| shards.contains(&self.queue.home(&delivery.tenant_id)));
            self.deliveries(page, mode, &mut done).await?;
            if after.is_none() {
                return Ok(done);
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn jobs(
        &self,
        page: Vec<UnfinishedKey>,
        mode: Mode,
        done: &mut Reconciled,
    ) -> Result<(), KeepError> {
        let asked = page.iter().map(|key| (PartitionId::clone(&key.tenant_id), key.job_id));
        let found = self.queue.whereabouts(&asked.collect::<Vec<_>>()).await?;
        done.looked_at += page.len() as u64;
        let mut by_tenant: BTreeMap<TenantId, Vec<(UnfinishedKey, Whereabouts)>> = BTreeMap::new();
        for (key, place) in page.into_iter().zip(found) {
            let is_well = place == Whereabouts::There && !key.is_missing;
            if !is_well {
                by_tenant.entry(key.tenant_id.clone()).or_default().push((key, place));
            }
        }
        for (tenant, found) in by_tenant {
            OfTenant { by: self, tenant: &tenant, mode, done }.settle(found).await?;
        }
        Ok(())
    }

    async fn deliveries(
        &self,
        page: Vec<QueuedDelivery>,
        mode: Mode,
        done: &mut Reconciled,
    ) -> Result<(), KeepError> {
        let asked = page.iter().map(|delivery| (PartitionId::clone(&delivery.tenant_id), delivery.job));
        let found = self.queue.whereabouts(&asked.collect::<Vec<_>>()).await?;
        done.looked_at += page.len() as u64;
        let mut lost: BTreeMap<TenantId, Vec<JobId>> = BTreeMap::new();
        for (delivery, place) in page.into_iter().zip(found) {
            let is_lost = match &place {
                Whereabouts::There | Whereabouts::Kept | Whereabouts::Ended => false,
                Whereabouts::Gone => true,
                Whereabouts::Damaged(damage) => {
                    self.mend(&delivery.tenant_id, damage, mode, done).await?;
                    damage.is_lost
                }
            };
            if is_lost {
                lost.entry(delivery.tenant_id).or_default().push(delivery.job);
            }
        }
        for (tenant, jobs) in lost {
            // Those that were delivered meanwhile stay so. The dispatcher makes the same jobs again of the others.
            done.deliveries += match mode {
                Mode::Repair => self.unfinished.deliveries_again(&tenant, &jobs).await?,
                Mode::DryRun => jobs.len() as u64,
            };
        }
        Ok(())
    }

    async fn mend(
        &self,
        tenant: &TenantId,
        damage: &Damage,
        mode: Mode,
        done: &mut Reconciled,
    ) -> Result<(), KeepError> {
        if !damage.is_lost {
            done.mended += damage.jobs.len().max(1) as u64;
        }
        if mode == Mode::Repair {
            self.queue.mend(tenant, damage).await?;
        }
        Ok(())
    }
}

/// What is to be settled of one tenant.
struct OfTenant<'a> {
    by: &'a Reconciler,
    tenant: &'a TenantId,
    mode: Mode,
    done: &'a mut Reconciled,
}

impl OfTenant<'_> {
    async fn settle(mut self, found: Vec<(UnfinishedKey, Whereabouts)>) -> Result<(), KeepError> {
        let (there, suspects): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, place)| *place == Whereabouts::There);
        if !there.is_empty() && self.mode == Mode::Repair {
            let there: Vec<_> = there.iter().map(|(key, _)| key.job_id).collect();
            self.by.unfinished.found(self.tenant, &there).await?;
        }
        if suspects.is_empty() {
            return Ok(());
        }
        // After the queue was asked: what ended before that is known to have ended now.
        let ids: Vec<_> = suspects.iter().map(|(key, _)| key.job_id).collect();
        let known = self.by.unfinished.state(self.tenant, &ids).await?;
        let mut known: BTreeMap<JobId, UnfinishedJob> = known.into_iter().map(|job| (job.id, job)).collect();
        let (mut lost, mut over) = (Vec::new(), Vec::new());
        for (key, place) in suspects {
            let Some(job) = known.remove(&key.job_id) else { continue };
            match place {
                Whereabouts::There => {}
                _ if job.has_ended && !job.is_waited_for => over.push(job.id),
                // Its record was not written, but the queue remembers that it ended.
                Whereabouts::Ended | Whereabouts::Kept if !job.is_waited_for => over.push(job.id),
                Whereabouts::Kept => self.kept(&job).await?,
                Whereabouts::Ended | Whereabouts::Gone => lost.push(job),
                Whereabouts::Damaged(damage) => {
                    self.by.mend(self.tenant, &damage, self.mode, self.done).await?;
                    if damage.is_lost {
                        lost.push(job);
                    }
                }
            }
        }
        self.done.ended += over.len() as u64;
        if !over.is_empty() && self.mode == Mode::Repair {
            self.by.unfinished.forget(self.tenant, &over).await?;
        }
        self.enqueue(lost).await
    }

    /// A document waits for a dead letter, or for a job in quarantine: the worker that put it there stopped before it
    /// said so.
    async fn kept(&mut self, job: &UnfinishedJob) -> Result<(), KeepError> {
        let mut reason = None;
        for id in [job.id, job.id.continuation()] {
            let status = self.by.queue.lookup(self.tenant, id).await?;
            reason = reason.or(status.and_then(|status| status.reason));
        }
        let (code, text) = reason
            .map_or_else(|| ("job_discarded".to_owned(), String::new()), |reason| (reason.code, reason.text));
        let detail = format!("{text}: redrive its job {}, or upload the document again", job.id);
        self.give_up(job, DocumentFault { code, detail }).await
    }

    async fn give_up(&mut self, job: &UnfinishedJob, fault: DocumentFault) -> Result<(), KeepError> {
        self.done.given_up += 1;
        if self.mode == Mode::Repair {
            let now = self.by.clock.now();
            tracing::info!(tenant.id = %self.tenant, job.id = %job.id, code = fault.code, "accepted work is given up");
            self.by.unfinished.give_up(self.tenant, job.id, &fault, now).await?;
        }
        Ok(())
    }

    /// Enqueues jobs again that may still run.
    async fn enqueue(mut self, lost: Vec<UnfinishedJob>) -> Result<(), KeepError> {
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for job in lost {
            match self.checked(&job).await? {
                Checked::Ready(stamped) => ready.push((job, *stamped)),
                Checked::Waits => waiting.push(job.id),
                Checked::Over => {}
            }
        }
        self.done.waiting += waiting.len() as u64;
        for (_, stamped) in &ready {
            self.done.name(self.tenant, stamped);
        }
        if self.mode == Mode::DryRun {
            self.done.enqueued += ready.len() as u64;
            return Ok(());
        }
        let now = self.by.clock.now();
        if !waiting.is_empty() {
            self.by.unfinished.missing(self.tenant, &waiting, now).await?;
        }
        if ready.is_empty() {
            return Ok(());
        }
        // A paused tenant stays paused, although the queue may have forgotten that it is.
        self.by.limits.restore(std::slice::from_ref(self.tenant)).await?;
        let next: Vec<_> = ready.iter().map(|(job, _)| (job, self.next_look(job, now))).collect();
        let taken = self.by.unfinished.take(self.tenant, &next, now).await?;
        let jobs: Vec<StampedJob> =
            ready.into_iter().map(|(_, job)| job).filter(|job| taken.contains(&job.id())).collect();
        self.push(jobs).await
    }

    async fn push(self, jobs: Vec<StampedJob>) -> Result<(), KeepError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let outcome = self.by.queue.push_accepted(&jobs).await?;
        self.done.enqueued += outcome.accepted as u64;
        metrics::reconciled(outcome.accepted);
        // Another job has the unique key and does the same.
        let now = self.by.clock.now();
        Ok(self.by.unfinished.same_work(self.tenant, &jobs, &outcome.conflicts, now).await?)
    }

    /// From when on the job is looked for again.
    fn next_look(&self, job: &UnfinishedJob, now: DateTime<Utc>) -> DateTime<Utc> {
        let rounds = 2_u32.checked_pow(job.again).unwrap_or(LONGEST).min(LONGEST);
        // A job is left alone for a round in any case.
        now + self.by.every * (rounds - 1)
    }

    async fn checked(&mut self, job: &UnfinishedJob) -> Result<Checked, KeepError> {
        let policy = |kind: &str, version| self.by.registry.policy(kind, version);
        let refusal = match self.by.verifier.verify(&job.wire, self.tenant, policy).await {
            // What waits for its tenant waits in the queue.
            Ok(_) | Err(Refusal::TenantNotReady(_)) => match self.by.verifier.route(&job.wire) {
                Ok(stamped) => return Ok(Checked::Ready(Box::new(stamped))),
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        match &refusal {
            Refusal::StaleEpoch
            | Refusal::Cancelled
            | Refusal::Expired
            | Refusal::UnknownKb
            | Refusal::UnknownTenant
            | Refusal::Forbidden(_) => {
                self.give_up(job, fault(&refusal)).await?;
                Ok(Checked::Over)
            }
            // A type that this worker does not run, a key that it does not have, or a directory that is away.
            _ => {
                tracing::warn!(tenant.id = %self.tenant, job.id = %job.id, code = refusal.code(),
                    "a job that the queue lost cannot be enqueued: {}", report(&refusal));
                Ok(Checked::Waits)
            }
        }
    }
}

/// What is to become of a lost job.
enum Checked {
    /// It is enqueued.
    Ready(Box<StampedJob>),
    /// Nothing can be done now.
    Waits,
    /// It was given up.
    Over,
}

/// What a document is told whose job was lost and may not run.
fn fault(refusal: &Refusal) -> DocumentFault {
    let code = if matches!(refusal, Refusal::Cancelled) { "cancelled" } else { refusal.code() };
    let detail = format!("{refusal}; upload the document again, or reindex, to try again");
    DocumentFault { code: code.to_owned(), detail }
}
