//! Taking jobs, keeping them, and noticing that somebody vanished with some.

use std::time::Duration;

use redis::{Cmd, Value};

use super::client::Queue;
use super::connection::Resend;
use super::error::QueueError;
use super::lane::Lane;
use super::library::Operation;

/// Who asks for jobs, and for which.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// Names the asking process; random, so that two replicas never share it.
    pub worker: &'a str,
    /// Number of this request. Asking again with the same number, after an answer got lost, yields the same
    /// claim.
    pub attempt: u64,
    /// The lanes it can serve.
    pub lanes: &'a [Lane],
    /// The most jobs it can take, at most 500.
    pub limit: usize,
    /// The most jobs that one tenant gets in a row while others wait. Small is fairer, large is faster.
    pub quantum: u32,
}

/// The answer to a [`FetchRequest`].
#[derive(Debug)]
pub enum Fetched {
    /// Jobs that nobody else has until the lease ends.
    Claim(Claim),
    /// Nothing may run now.
    Nothing {
        /// How long until a delayed or rate-limited job may become available.
        next_in: Option<Duration>,
        /// Whether asking again at once may find something: one call does only so much.
        more: bool,
        /// Numbers of the lanes, which name the markers to wait on.
        lane_numbers: Vec<u64>,
    },
}

/// Some jobs under one lease and one fence.
#[derive(Debug)]
pub struct Claim {
    /// Grows with every claim. A finish with another fence than the job's present one changes nothing.
    pub fence: u64,
    /// The jobs.
    pub jobs: Vec<ClaimedJob>,
}

/// One claimed job, just as Redis has it. Nothing about it was checked.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// In whose queue it was.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// The queue's record; `None` when somebody removed it.
    pub record: Option<Vec<u8>>,
    /// The worker time that its tenant was charged for it, an estimate.
    pub charged: Duration,
}

/// What one sweep for lost claims did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Claims whose worker vanished.
    pub claims: usize,
    /// Jobs that went back to their queue.
    pub returned: usize,
    /// Tenant and id of jobs that went to quarantine.
    pub quarantined: Vec<(String, String)>,
}

/// What one look at some tenants has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    /// Where to go on; `0` at the start and when all were seen.
    pub cursor: String,
    /// Claims whose lease was gone. They have a new one: if their worker lives it goes on, else they are reaped.
    pub claims: usize,
}

impl Queue {
    /// Compares the running jobs of some tenants with the leases, which somebody may have deleted, and removes
    /// what is kept of tenants that have nothing in the queue and no settings.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn heal(&self, cursor: &str, tenants: u32) -> Result<Healed, QueueError> {
        let lease_ms = self.config().lease.as_millis();
        let arguments = vec![lease_ms.to_string(), cursor.to_owned(), tenants.to_string()];
        let (cursor, claims) = self.call(Operation::Heal, Resend::Safe, arguments).await?;
        Ok(Healed { cursor, claims })
    }

    /// Removes at most `limit` jobs that were called off by the thousand. How many heaps of them are left.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn sweep(&self, limit: u32) -> Result<usize, QueueError> {
        self.call(Operation::Sweep, Resend::Never, vec![limit.to_string()]).await
    }

    /// Claims jobs.
    ///
    /// # Errors
    /// When Redis fails. The claim may have been made: ask again with the same [`FetchRequest::attempt`].
    pub async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetched, QueueError> {
        let lease_ms = self.config().lease.as_millis();
        let limit = request.limit.clamp(1, 500);
        let mut arguments = vec![limit.to_string(), lease_ms.to_string(), request.quantum.max(1).to_string()];
        arguments.extend([request.worker.to_owned(), request.attempt.to_string()]);
        arguments.extend(request.lanes.iter().flat_map(|lane| [lane.to_string(), lane.queue().to_owned()]));
        let answer: Vec<Value> = self.call(Operation::Fetch, Resend::Safe, arguments).await?;
        match answer.as_slice() {
            [Value::Int(0), timer, more, lanes] => nothing(timer, more, lanes),
            [Value::Int(fence), counts, ids] => {
                let fence = u64::try_from(*fence).map_err(|_| QueueError::Answer("a negative fence"))?;
                self.read_claim(fence, counts, ids).await.map(Fetched::Claim)
            }
            _ => Err(QueueError::Answer("fetch")),
        }
    }

    async fn read_claim(&self, fence: u64, counts: &Value, ids: &Value) -> Result<Claim, QueueError> {
        let counts: Vec<String> = read(counts)?;
        let ids: Vec<String> = read(ids)?;
        let records = self.records("", &ids).await?;
        let mut rest = ids.into_iter().zip(records);
        let mut jobs = Vec::with_capacity(rest.len());
        for block in counts.chunks_exact(3) {
            let number = |text: &String| text.parse::<u64>().map_err(|_| QueueError::Answer("fetch"));
            let charged = Duration::from_micros(number(&block[2])?);
            let count = usize::try_from(number(&block[1])?).unwrap_or(usize::MAX);
            let jobs_of = rest.by_ref().take(count);
            let tenant = &block[0];
            jobs.extend(jobs_of.map(|(id, record)| ClaimedJob {
                tenant: tenant.clone(),
                id,
                record,
                charged,
            }));
        }
        Ok(Claim { fence, jobs })
    }

    /// The records of jobs, past Lua: through it they would cost three times as much.
    pub(super) async fn records(
        &self,
        _tenant: &str,
        ids: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = Cmd::new();
        command.arg("HMGET").arg(self.key("e")).arg(ids);
        self.connection().query(&command, Resend::Safe).await
    }

    /// Extends claims by another lease from now. `false` for a claim that is lost: its jobs must not go on.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn renew(&self, fences: &[u64]) -> Result<Vec<bool>, QueueError> {
        self.renew_charged(fences, &[]).await
    }

    /// As [`Queue::renew`], and charges tenants for worker time that their running jobs have used beyond what
    /// they were charged.
    pub(super) async fn renew_charged(
        &self,
        fences: &[u64],
        charges: &[(String, i64)],
    ) -> Result<Vec<bool>, QueueError> {
        if fences.is_empty() && charges.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = vec![self.config().lease.as_millis().to_string(), fences.len().to_string()];
        arguments.extend(fences.iter().map(u64::to_string));
        arguments.extend(charges.iter().flat_map(|(tenant, us)| [tenant.clone(), us.to_string()]));
        self.call(Operation::Renew, Resend::Safe, arguments).await
    }

    /// Puts the jobs of at most `max_claims` lapsed claims back, or in quarantine when too many workers
    /// vanished with them.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn reap(&self, max_claims: u32) -> Result<Reaped, QueueError> {
        let arguments = vec![max_claims.to_string(), self.config().max_deaths.to_string()];
        let (claims, returned, flat): (usize, usize, Vec<String>) =
            self.call(Operation::Reap, Resend::Never, arguments).await?;
        let quarantined = flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Ok(Reaped { claims, returned, quarantined })
    }
}

fn nothing(timer: &Value, more: &Value, lanes: &Value) -> Result<Fetched, QueueError> {
    let timer: String = read(timer)?;
    let next_in = timer.parse().ok().map(Duration::from_millis);
    Ok(Fetched::Nothing { next_in, more: read(more)?, lane_numbers: read(lanes)? })
}

fn read<T: redis::FromRedisValue>(value: &Value) -> Result<T, QueueError> {
    T::from_redis_value(value.clone()).map_err(|_| QueueError::Answer("fetch"))
}
