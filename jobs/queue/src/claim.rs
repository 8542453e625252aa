//! Claiming jobs, renewing their leases, and reaping the claims of vanished workers.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ToRedisArgs, Value};

use crate::error::QueueError;
use crate::job::Skill;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// How many keys a scan for forgotten partitions reads at a time.
const SCAN_KEYS: usize = 100;
/// Length of a job's id.
const ID_BYTES: usize = 36;

/// Which worker asks for jobs, and from which skills.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// Names the asking process; random, so that two replicas never share it.
    pub worker: &'a str,
    /// Number of this request. Asking again with the same number, after an answer got lost, yields the same
    /// claim.
    pub attempt: u64,
    /// The shard to fetch from.
    pub shard: u16,
    /// The turn this shard was chosen for; `None` when there is only one shard and all partitions may be served.
    pub turn: Option<Turn>,
    /// The skills it can serve.
    pub skills: &'a [Skill],
    /// The most jobs it can take, at most 500.
    pub limit: usize,
    /// The most jobs that one partition gets in a row while others wait. Small is fairer, large is faster.
    pub quantum: u32,
}

/// What keeps shares in step across shards that know nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The shard had no work: its virtual clock, which stood still meanwhile, is put forward to this. Else 0.
    pub floor: u64,
    /// The limit on which partitions this fetch may serve.
    pub ceiling: Ceiling,
}

/// Which partitions a fetch passes over although there are free slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// Partitions behind this start tag, which is the next partition's tag in another shard. The first partition is
    /// served anyway.
    Tag(u64),
    /// Partitions that have jobs running. Only newcomers, which have none, are served; the fetch looks for them among
    /// the first 16 partitions.
    Busy,
}

/// A shard's virtual time; comparable between shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VirtualTime {
    /// Its virtual clock: the start tag of the partition that was served last.
    pub now: u64,
    /// The start tag of the partition that would be served next; `None` when there is none, or without a
    /// [`FetchRequest::turn`].
    pub next: Option<u64>,
}

/// The answer to a [`FetchRequest`].
#[derive(Debug)]
pub enum Fetched {
    /// Jobs that no other worker has until the lease ends.
    Claim(Claim),
    /// No job may run now.
    Nothing {
        /// How long until a delayed or rate-limited job may become available.
        next_in: Option<Duration>,
        /// Whether asking again at once may find something: one call does only so much.
        more: bool,
        /// Numbers of the skills, which name the markers to wait on.
        skill_numbers: Vec<u64>,
        /// The shard's virtual time.
        virtual_time: VirtualTime,
    },
}

/// Some jobs under one lease and one fence.
#[derive(Debug)]
pub struct Claim {
    /// The shard of the jobs.
    pub shard: u16,
    /// Grows with every claim of the shard. A finish with another fence than the job's present one changes nothing.
    pub fence: u64,
    /// The jobs.
    pub jobs: Vec<ClaimedJob>,
    /// The shard's virtual time.
    pub virtual_time: VirtualTime,
    /// Whether the jobs have their records, as far as Redis has them.
    pub has_records: bool,
}

/// One claimed job, unverified, as Redis holds it.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The shard it is in.
    pub shard: u16,
    /// The partition whose queue the job was in.
    pub partition: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The queue's record; `None` when it was deleted from Redis.
    pub record: Option<Vec<u8>>,
    /// The worker time that its partition was charged for it, an estimate.
    pub charged: Duration,
}

/// The result of reaping lost claims.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Claims whose lease has expired because their worker vanished.
    pub claims: usize,
    /// Jobs that went back to their queue.
    pub returned: usize,
    /// Partition and id of jobs that went to quarantine.
    pub quarantined: Vec<(String, String)>,
}

/// The result of repairing a page of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    /// Cursor of the next page; `0` at the start and when all were repaired.
    pub cursor: String,
    /// Claims whose lease key was missing. Each gets a new lease: a live worker goes on, otherwise the reaper takes
    /// it.
    pub claims: usize,
    /// Damage that operations have met since the last report: of what, and what was done about it.
    pub damages: Vec<(String, String)>,
}

impl Queue {
    /// Repairs the state of a page of partitions: rebuilds leases, timers, lists and ready-index entries that were
    /// deleted or damaged, and removes the rows of partitions that have nothing in the queue and no settings.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn heal(&self, shard: u16, cursor: &str, partitions: u32) -> Result<Healed, QueueError> {
        self.heal_with(shard, cursor, partitions, &[]).await
    }

    /// As [`Queue::heal`], and looks at the partitions called `names` as well, whether or not anything is kept of
    /// them.
    pub(super) async fn heal_with(
        &self,
        shard: u16,
        cursor: &str,
        partitions: u32,
        names: &[Vec<u8>],
    ) -> Result<Healed, QueueError> {
        let lease_ms = self.config().lease.as_millis();
        let mut arguments = vec![self.now(), lease_ms.to_string(), cursor.to_owned(), partitions.to_string()]
            .into_iter()
            .map(String::into_bytes)
            .collect::<Vec<_>>();
        arguments.extend_from_slice(names);
        let (cursor, claims, damages): (_, _, Vec<Vec<u8>>) =
            self.call_as_is(shard, Operation::Heal, Resend::Safe, arguments).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let damages = damages.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        Ok(Healed { cursor, claims, damages })
    }

    /// Logs the result of repairing partitions.
    pub(super) fn report(&self, healed: &Healed) {
        if healed.claims > 0 {
            tracing::warn!(claims = healed.claims, "claims had lost their leases and have new ones");
        }
        for (what, done) in &healed.damages {
            tracing::warn!(
                redis.prefix = self.config().prefix,
                redis.key = what,
                "damage in Redis: {done}; find out what else writes to this Redis"
            );
        }
    }

    /// A page of the names of partitions that have keys in a shard. Finds partitions whose row was deleted.
    pub(super) async fn partitions_with_keys(
        &self,
        shard: u16,
        cursor: &str,
    ) -> Result<(String, Vec<Vec<u8>>), QueueError> {
        let keys = self.key(shard, "t:");
        let mut scan = Cmd::new();
        let pattern = keys.replace(['*', '?', '[', ']', '\\'], "?") + "*";
        scan.arg("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_KEYS);
        let (cursor, found): (String, Vec<Vec<u8>>) =
            self.servers().query(shard, &scan, Resend::Safe).await?;
        let partition =
            |key: &Vec<u8>| Some(key.get(keys.len()..)?.split(|byte| *byte == b':').next()?.to_vec());
        let names: std::collections::BTreeSet<_> = found.iter().filter_map(partition).collect();
        Ok((cursor, names.into_iter().filter(|name| !name.is_empty()).collect()))
    }

    /// Deletes up to `limit` jobs left behind by `cancel_partition`. Returns the number of remaining batches.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn sweep(&self, shard: u16, limit: u32) -> Result<usize, QueueError> {
        self.call(shard, Operation::Sweep, Resend::Never, vec![limit.to_string()]).await
    }

    /// Claims jobs.
    ///
    /// # Errors
    /// When Redis fails. The claim may have been made: ask again with the same [`FetchRequest::attempt`].
    pub async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetched, QueueError> {
        let mut fetched = self.fetch_ids(request).await?;
        if let Fetched::Claim(claim) = &mut fetched
            && !claim.has_records
        {
            self.read_records(claim).await?;
        }
        Ok(fetched)
    }

    /// As [`Queue::fetch`], without the jobs' records, unless they came along.
    pub(super) async fn fetch_ids(&self, request: FetchRequest<'_>) -> Result<Fetched, QueueError> {
        let FetchRequest { worker, attempt, shard, turn, skills, limit, quantum } = request;
        let lease_ms = self.config().lease.as_millis();
        let limit = limit.clamp(1, 500);
        let mut arguments = vec![limit.to_string(), lease_ms.to_string(), quantum.max(1).to_string()];
        arguments.extend([worker.to_owned(), attempt.to_string()]);
        arguments.extend(match turn {
            None => [String::new(), String::new()],
            Some(Turn { floor, ceiling: Ceiling::Tag(tag) }) => [floor.to_string(), tag.to_string()],
            Some(Turn { floor, ceiling: Ceiling::Busy }) => [floor.to_string(), "I".to_owned()],
        });
        arguments.extend(skills.iter().flat_map(|skill| [skill.to_string(), skill.queue().to_owned()]));
        let answer: Vec<Value> = self.call(shard, Operation::Fetch, Resend::Safe, arguments).await?;
        match answer.as_slice() {
            [Value::Int(0), timer, more, skills, now, next] => {
                nothing(timer, more, skills, virtual_time(now, next)?)
            }
            [Value::Int(fence), claimed, charges, now, next, records] => {
                let fence = u64::try_from(*fence).map_err(|_| QueueError::Answer("a negative fence"))?;
                let jobs = claimed_jobs(shard, &read::<Vec<u8>>(claimed)?, &read::<String>(charges)?);
                let virtual_time = virtual_time(now, next)?;
                let mut claim = Claim { shard, fence, jobs, virtual_time, has_records: false };
                claim.add_records(read(records)?);
                Ok(Fetched::Claim(claim))
            }
            _ => Err(QueueError::Answer("fetch")),
        }
    }

    /// Reads the records of claimed jobs.
    pub(super) async fn read_records(&self, claim: &mut Claim) -> Result<(), QueueError> {
        let ids: Vec<&str> = claim.jobs.iter().map(|job| &*job.id).collect();
        let records = self.records(claim.shard, &ids).await?;
        claim.add_records(records);
        Ok(())
    }

    /// Whether one of the skills has a newcomer that [`Ceiling::Busy`] would serve. Much cheaper than a fetch.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn newcomers(&self, shard: u16, skills: &[Skill]) -> Result<bool, QueueError> {
        let skills = skills.iter().map(ToString::to_string).collect();
        self.call(shard, Operation::Newcomers, Resend::Safe, skills).await
    }

    /// The records of jobs, past Lua: through it they would cost three times as much.
    pub(super) async fn records(
        &self,
        shard: u16,
        ids: &[impl ToRedisArgs],
    ) -> Result<Vec<Option<Vec<u8>>>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = Cmd::new();
        command.arg("HMGET").arg(self.key(shard, "e")).arg(ids);
        self.servers().query(shard, &command, Resend::Safe).await
    }

    /// Extends claims of a shard by another lease from now. `false` for a claim that is lost: its jobs must not go on.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn renew(&self, shard: u16, fences: &[u64]) -> Result<Vec<bool>, QueueError> {
        self.renew_charged(shard, fences, &[]).await
    }

    /// As [`Queue::renew`], and charges partitions for worker time, in microseconds, that their running jobs have
    /// used beyond what they were charged.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn renew_charged(
        &self,
        shard: u16,
        fences: &[u64],
        charges: &[(Arc<str>, i64)],
    ) -> Result<Vec<bool>, QueueError> {
        if fences.is_empty() && charges.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = vec![self.config().lease.as_millis().to_string(), fences.len().to_string()];
        arguments.extend(fences.iter().map(u64::to_string));
        arguments.extend(charges.iter().flat_map(|(partition, us)| [partition.to_string(), us.to_string()]));
        self.call(shard, Operation::Renew, Resend::Safe, arguments).await
    }

    /// Puts the jobs of at most `max_claims` lapsed claims of a shard back, or in quarantine when too many workers
    /// vanished with them.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn reap(&self, shard: u16, max_claims: u32) -> Result<Reaped, QueueError> {
        let arguments = vec![max_claims.to_string(), self.config().max_deaths.to_string()];
        let (claims, returned, flat): (usize, usize, Vec<Vec<u8>>) =
            self.call(shard, Operation::Reap, Resend::Never, arguments).await?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let quarantined =
            flat.chunks_exact(2).filter_map(|pair| text(&pair[0]).zip(text(&pair[1]))).collect();
        Ok(Reaped { claims, returned, quarantined })
    }
}

impl Claim {
    /// Gives each job its record, unless there are not as many as jobs: none came along, or one of the ids was skipped.
    fn add_records(&mut self, records: Vec<Option<Vec<u8>>>) {
        self.has_records = records.len() == self.jobs.len();
        if self.has_records {
            for (job, record) in self.jobs.iter_mut().zip(records) {
                job.record = record;
            }
        }
    }
}

/// Reads `claimed`: for each partition a line with its name, a line with the number of its jobs, and a line of
/// [`ID_BYTES`] with the id of each. `charges` holds a number of microseconds for each partition, charged for each of
/// its jobs.
///
/// Other clients of Redis can write to the lists, so ids may be invalid or damaged. An invalid id is skipped here;
/// when the lease ends, the reaper drops it.
fn claimed_jobs(shard: u16, mut claimed: &[u8], charges: &str) -> Vec<ClaimedJob> {
    let mut jobs = Vec::with_capacity(claimed.len() / (ID_BYTES + 1));
    let mut charges = charges.split_ascii_whitespace();
    while let (Some(partition), Some(count)) = (line(&mut claimed), line(&mut claimed)) {
        let Some(count) = count.parse::<usize>().ok() else { break };
        let partition: Arc<str> = partition.into();
        let charged = charges.next().and_then(|us| us.parse().ok()).unwrap_or(0);
        for _ in 0..count {
            let Some((id, rest)) = claimed.split_at_checked(ID_BYTES) else { break };
            claimed = rest.strip_prefix(b"\n").unwrap_or(rest);
            let Ok(id) = std::str::from_utf8(id) else {
                tracing::warn!(tenant.id = &*partition, "a list holds what is no id of a job");
                continue;
            };
            let (partition, charged) = (Arc::clone(&partition), Duration::from_micros(charged));
            jobs.push(ClaimedJob { shard, partition, id: id.into(), record: None, charged });
        }
    }
    jobs
}

/// Takes the first line off `bytes`.
fn line<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[1..];
    std::str::from_utf8(line).ok()
}

fn nothing(
    timer: &Value,
    more: &Value,
    skills: &Value,
    virtual_time: VirtualTime,
) -> Result<Fetched, QueueError> {
    let timer: String = read(timer)?;
    let next_in = timer.parse().ok().map(Duration::from_millis);
    Ok(Fetched::Nothing { next_in, more: read(more)?, skill_numbers: read(skills)?, virtual_time })
}

fn virtual_time(now: &Value, next: &Value) -> Result<VirtualTime, QueueError> {
    Ok(VirtualTime { now: read(now)?, next: read::<String>(next)?.parse().ok() })
}

fn read<T: redis::FromRedisValue>(value: &Value) -> Result<T, QueueError> {
    T::from_redis_value_ref(value).map_err(|_| QueueError::Answer("fetch"))
}
