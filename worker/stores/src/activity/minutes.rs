//! The hashes of the last hour in Redis: written by workers, read for people.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use jobs::queue::QueueError;
use jobs::redis::{Cmd, RedisClient, Resend, cmd};
use jobs::tenant::TenantId;

use super::counts::{Counts, Minute};

/// Minutes that are kept, and a few more that a reader may still ask for.
const SECONDS_KEPT: u32 = 70 * 60;
/// Tenants that a minute names, over all workers.
const TENANTS_NAMED: usize = 100;
/// A minute that ended so long ago does not change any more: workers flush every few seconds.
const SETTLED: TimeDelta = TimeDelta::minutes(2);
/// How long it is believed which tenants are held back.
const HELD_SECONDS: u32 = 60;

/// Adds counts to minutes, in one call. A tenant that a minute cannot name any more is counted among the others.
/// ARGV seconds to live, most tenants, then for each key: how many counts of types and (field, amount) each; how many
/// tenants, each with its name, how many counts, and (measure, amount) each.
const ADD: &str = "
local at = 3
local function take() at = at + 1; return ARGV[at - 1] end
for _, key in ipairs(KEYS) do
  for _ = 1, tonumber(take()) do redis.call('HINCRBY', key, take(), take()) end
  for _ = 1, tonumber(take()) do
    local name, measures = take(), tonumber(take())
    if name ~= '' and redis.call('HEXISTS', key, 't:'..name..':t') == 0 then
      if (tonumber(redis.call('HGET', key, 'n')) or 0) >= tonumber(ARGV[2]) then name = ''
      else
        redis.call('HINCRBY', key, 'n', 1)
        redis.call('HINCRBY', key, 't:'..name..':t', 0)
      end
    end
    for _ = 1, measures do redis.call('HINCRBY', key, 't:'..name..':'..take(), take()) end
  end
  redis.call('EXPIRE', key, ARGV[1])
end
return 1";

/// Reads hashes, in one call.
const READ: &str = "
local out = {}
for at, key in ipairs(KEYS) do out[at] = redis.call('HGETALL', key) end
return out";

/// Replaces a hash. ARGV seconds to live, (field, value)*
const REPLACE: &str = "
redis.call('DEL', KEYS[1])
for at = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
if #ARGV > 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1";

/// What keeps a tenant's jobs from starting, at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldState {
    /// As many run as may.
    Capped,
    /// Its rate, or a rest after a job could not run.
    Limited,
    /// It was paused.
    Paused,
    /// It is suspended.
    Suspended,
    /// Nothing: its jobs wait for their turn.
    Waiting,
}

impl HeldState {
    /// The name used in HTTP answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capped => "capped",
            Self::Limited => "limited",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Waiting => "waiting",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Capped, Self::Limited, Self::Paused, Self::Suspended, Self::Waiting];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

/// A state, and since when it lasts, as precisely as workers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The state.
    pub state: HeldState,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What workers did in the last hour, and which tenants are held back since when. Clones share what they have read.
#[derive(Debug, Clone)]
pub struct Activity {
    /// `None` for a worker without Redis, as tests have it: nothing is kept.
    redis: Option<RedisClient>,
    prefix: String,
    settled: Arc<Mutex<BTreeMap<i64, Arc<Minute>>>>,
}

impl Activity {
    pub(crate) fn new(redis: Option<RedisClient>) -> Self {
        Self { redis, prefix: String::new(), settled: Arc::default() }
    }

    /// That of the queue whose keys begin with `prefix`.
    #[must_use]
    pub fn of_queue(&self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), settled: Arc::default(), redis: self.redis.clone() }
    }

    /// The minute of a moment, counted from 1970.
    #[must_use]
    pub fn minute_of(at: DateTime<Utc>) -> i64 {
        at.timestamp().div_euclid(60)
    }

    /// All keys are in one slot of a cluster, so that one call may name several.
    fn key(&self, name: impl std::fmt::Display) -> String {
        format!("activity:{{{}}}:{name}", self.prefix)
    }

    /// Adds what was counted, by minute.
    ///
    /// # Errors
    /// When Redis does not answer. Then some of it may be lost, or counted.
    pub async fn add(&self, minutes: BTreeMap<i64, Minute>) -> Result<(), QueueError> {
        let Some(redis) = self.redis.as_ref().filter(|_| !minutes.is_empty()) else { return Ok(()) };
        let keys: Vec<String> = minutes.keys().map(|minute| self.key(minute)).collect();
        let mut command = cmd("EVAL");
        command.arg(ADD).arg(keys.len()).arg(&keys).arg(SECONDS_KEPT).arg(TENANTS_NAMED);
        for minute in minutes.into_values() {
            describe(minute, &mut command);
        }
        redis.query(&keys[0], &command, Resend::Never).await
    }

    /// The 60 minutes up to `now`, oldest first, each with its beginning. The last one is not over yet.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn last_hour(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, Arc<Minute>)>, QueueError> {
        let last = Self::minute_of(now);
        let asked: Vec<i64> =
            (last - 59..=last).filter(|minute| !self.settled().contains_key(minute)).collect();
        let read = self.read(asked).await?;
        let known_until = Self::minute_of(now - SETTLED);
        let mut settled = self.settled();
        settled.retain(|minute, _| (last - 59..=last).contains(minute));
        let fresh = read.iter().filter(|(minute, _)| **minute < known_until);
        settled.extend(fresh.map(|(minute, found)| (*minute, Arc::clone(found))));
        let found =
            |minute: i64| settled.get(&minute).or_else(|| read.get(&minute)).cloned().unwrap_or_default();
        let begun = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap_or_default();
        Ok((last - 59..=last).map(|minute| (begun(minute), found(minute))).collect())
    }

    async fn read(&self, minutes: Vec<i64>) -> Result<HashMap<i64, Arc<Minute>>, QueueError> {
        let Some(redis) = self.redis.as_ref().filter(|_| !minutes.is_empty()) else {
            return Ok(HashMap::new());
        };
        let keys: Vec<String> = minutes.iter().map(|minute| self.key(minute)).collect();
        let mut command = cmd("EVAL_RO");
        command.arg(READ).arg(keys.len()).arg(&keys);
        let found: Vec<Vec<String>> = redis.query(&keys[0], &command, Resend::Safe).await?;
        let found = found.iter().map(|fields| Arc::new(Minute::read(fields)));
        Ok(minutes.into_iter().zip(found).collect())
    }

    fn settled(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<Minute>>> {
        // Every change is one call on the map, so it is consistent even after a panic.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which tenants of a shard of the queue are held back, in place of what was said before.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn held_put(&self, shard: u16, held: &HashMap<TenantId, Held>) -> Result<(), QueueError> {
        let Some(redis) = &self.redis else { return Ok(()) };
        let key = self.key(format_args!("held:{shard}"));
        let mut command = cmd("EVAL");
        command.arg(REPLACE).arg(1).arg(&key).arg(HELD_SECONDS);
        for (tenant, Held { state, since }) in held {
            command.arg(tenant.as_str()).arg(format!("{} {}", state.as_str(), since.timestamp_millis()));
        }
        redis.query(&key, &command, Resend::Safe).await
    }

    /// Which tenants of these shards are held back, as it was said last.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn held(
        &self,
        shards: impl Iterator<Item = u16>,
    ) -> Result<HashMap<TenantId, Held>, QueueError> {
        let keys: Vec<String> = shards.map(|shard| self.key(format_args!("held:{shard}"))).collect();
        let (Some(redis), Some(first)) = (&self.redis, keys.first()) else { return Ok(HashMap::new()) };
        let mut command = cmd("EVAL_RO");
        command.arg(READ).arg(keys.len()).arg(&keys);
        let found: Vec<Vec<String>> = redis.query(first, &command, Resend::Safe).await?;
        let read = |pair: &[String]| {
            let (state, since) = pair[1].split_once(' ')?;
            let since = since.parse().ok().and_then(DateTime::from_timestamp_millis)?;
            Some((pair[0].parse().ok()?, Held { state: HeldState::from_name(state)?, since }))
        };
        Ok(found.iter().flat_map(|fields| fields.chunks_exact(2)).filter_map(read).collect())
    }
}

/// Adds what was counted in a minute to the arguments of [`ADD`].
fn describe(minute: Minute, command: &mut Cmd) {
    let kinds = minute.kinds.iter();
    let kinds: Vec<_> =
        kinds.flat_map(|(kind, counts)| counts.named().map(move |count| (kind, count))).collect();
    command.arg(kinds.len());
    for (kind, (measure, amount)) in kinds {
        command.arg(format!("k:{kind}:{measure}")).arg(amount);
    }
    let (tenants, others) = minute.top(TENANTS_NAMED);
    let named = tenants.iter().map(|(tenant, counts)| (tenant.as_str(), counts));
    let all: Vec<(&str, &Counts)> = named.chain(std::iter::once(("", &others))).collect();
    command.arg(all.len());
    for (name, counts) in all {
        let measures: Vec<_> = counts.named().collect();
        command.arg(name).arg(measures.len());
        for (measure, amount) in measures {
            command.arg(measure).arg(amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use jobs::queue::RedisServer;
    use jobs::redis::RedisAddress;

    use super::*;

    fn minute(tenants: impl Iterator<Item = usize>) -> Minute {
        let ran = Counts { started: 1, run_ms: 10, ..Counts::default() };
        let kinds = [("document.ingest".to_owned(), ran)].into();
        let named = |at: usize| (format!("tenant-{at}").parse().unwrap(), ran);
        Minute { kinds, tenants: tenants.map(named).collect(), others: Counts::default() }
    }

    #[tokio::test]
    async fn minutes_add_up_over_workers_and_name_a_bounded_number_of_tenants() {
        let server = RedisServer::start(&[]).unwrap();
        let address = RedisAddress::parse(&server.url().into()).unwrap();
        let redis = RedisClient::new(&address, std::time::Duration::from_secs(5)).unwrap();
        let activity = Activity::new(Some(redis)).of_queue("test");
        let now: DateTime<Utc> = "2027-01-15T08:00:30Z".parse().unwrap();
        let at = Activity::minute_of(now);
        for worker in 0..2 {
            let tenants = worker * 90..(worker + 1) * 90;
            let both = [(at, minute(tenants.clone())), (at - 10, minute(0..1))];
            activity.add(both.into()).await.unwrap();
        }
        for asked in 0..2 {
            let hour = activity.last_hour(now).await.unwrap();
            assert_eq!((hour.len(), hour[59].0.to_rfc3339()), (60, "2027-01-15T08:00:00+00:00".to_owned()));
            let (this, before) = (&hour[59].1, &hour[49].1);
            assert_eq!(this.total().started, 2, "{asked}: each worker said one");
            assert_eq!((this.tenants.len(), this.others.run_ms), (TENANTS_NAMED, 800));
            let first = "tenant-0".parse().unwrap();
            assert_eq!(before.of(&first).map(|counts| counts.run_ms), Some(20));
            assert_eq!(*hour[0].1, Minute::default());
        }
        let another = activity.of_queue("another").last_hour(now).await.unwrap();
        assert!(another.iter().all(|(_, minute)| **minute == Minute::default()));
    }

    #[tokio::test]
    async fn what_is_held_back_is_what_was_said_last() {
        let server = RedisServer::start(&[]).unwrap();
        let address = RedisAddress::parse(&server.url().into()).unwrap();
        let redis = RedisClient::new(&address, std::time::Duration::from_secs(5)).unwrap();
        let activity = Activity::new(Some(redis)).of_queue("test");
        let since: DateTime<Utc> = "2027-01-15T08:00:30Z".parse().unwrap();
        let held = |name: &str, state| -> HashMap<TenantId, Held> {
            [(name.parse().unwrap(), Held { state, since })].into()
        };
        let (acme, other) = (held("acme", HeldState::Capped), held("other", HeldState::Paused));
        activity.held_put(0, &held("before", HeldState::Limited)).await.unwrap();
        activity.held_put(0, &acme).await.unwrap();
        activity.held_put(1, &other).await.unwrap();
        let both: HashMap<_, _> = acme.into_iter().chain(other.clone()).collect();
        assert_eq!(activity.held(0..2).await.unwrap(), both);
        activity.held_put(0, &HashMap::new()).await.unwrap();
        assert_eq!(activity.held(0..2).await.unwrap(), other);
    }
}
