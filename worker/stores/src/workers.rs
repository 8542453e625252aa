//! Workers that live: each process says every few seconds how it is, and learns what operators want of it. Kept in
//! Redis for as long as the worker says so.
//!
//! What an operator wants is true where it is obeyed, in the worker: it says with every beat which order it obeys, so
//! that a Redis that lost its data has the order again with the next beat.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::queue::QueueError;
use jobs::redis::{FromRedisValue, RedisClient, Resend, cmd};
use serde::{Deserialize, Serialize};

/// A worker that was silent for this long is not listed.
const LIVE: TimeDelta = TimeDelta::seconds(15);
/// A worker that was silent for this long is forgotten, with what was wanted of it. Longer than Redis may be away.
const FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// The time in milliseconds, and the number of an order as it is stored: the number, a space, the order.
const SHARED: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(order) return order and tonumber(string.match(order, '^(%d+) ')) or 0 end
local function int(n) return string.format('%.0f', n) end
";

/// KEYS when seen, what was said, orders. ARGV id, what it says, the order that it obeys or '', ms until forgotten
/// -> the order to obey, or ''
const BEAT: &str = "
redis.call('ZADD', KEYS[1], int(now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now - ARGV[4]), 'LIMIT', 0, 100)
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
end
local order = redis.call('HGET', KEYS[3], ARGV[1])
if number(ARGV[3]) > number(order) then
  order = ARGV[3]
  redis.call('HSET', KEYS[3], ARGV[1], order)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, int(ARGV[4])) end
return order or ''";

/// KEYS as above. ARGV id
const LEAVE: &str = "
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1";

/// KEYS as above. ARGV ms of silence, id or '' for all -> (id, when seen, what it said, the order or '')*
const READ: &str = "
local out, ids = {}, {ARGV[2]}
if ARGV[2] == '' then ids = redis.call('ZRANGEBYSCORE', KEYS[1], int(now - ARGV[1]), '+inf') end
for _, id in ipairs(ids) do
  local seen, said = redis.call('ZSCORE', KEYS[1], id), redis.call('HGET', KEYS[2], id)
  if seen and said and tonumber(seen) >= now - ARGV[1] then
    out[#out + 1] = id
    out[#out + 1] = int(seen)
    out[#out + 1] = said
    out[#out + 1] = redis.call('HGET', KEYS[3], id) or ''
  end
end
return out";

/// KEYS as above. ARGV ms of silence, id, the order -> 0 when there is no such worker
const ORDER: &str = "
local seen = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not seen or tonumber(seen) < now - ARGV[1] then return 0 end
local before = number(redis.call('HGET', KEYS[3], ARGV[2]))
redis.call('HSET', KEYS[3], ARGV[2], int(math.max(now, before + 1))..' '..ARGV[3])
return 1";

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The machine, or the container, that it runs on, if that has a name.
    pub host: Option<String>,
    /// The number of its process there.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its slots, by what they are for.
    pub slots: BTreeMap<String, SlotsReport>,
    /// Whether it may claim jobs.
    pub is_fetching: bool,
    /// The number of the order that it obeys; 0 for none.
    pub obeys: u64,
}

/// How some slots are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotsReport {
    /// How many jobs run in them at the same time.
    pub slots: usize,
    /// Jobs that it holds.
    pub in_flight: usize,
}

/// What an operator wants of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchOrder {
    /// Whether it is to claim jobs.
    pub fetching: bool,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The actor, as text.
    pub by: String,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// An order as it is kept: those of a worker are numbered, and the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedOrder {
    /// Grows.
    pub number: u64,
    /// What is wanted.
    pub order: FetchOrder,
}

impl NumberedOrder {
    /// `None` for nothing, or what is no order.
    fn read(text: &str) -> Option<Self> {
        let (number, order) = text.split_once(' ')?;
        Some(Self { number: number.parse().ok()?, order: serde_json::from_str(order).ok()? })
    }

    fn text(&self) -> String {
        format!("{} {}", self.number, json(&self.order))
    }
}

/// A worker that spoke lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveWorker {
    /// Its id: a restarted worker is another one.
    pub id: String,
    /// When it spoke last.
    pub seen_at: DateTime<Utc>,
    /// What it said.
    pub report: WorkerReport,
    /// What is wanted of it.
    pub order: Option<NumberedOrder>,
}

impl LiveWorker {
    /// Whether it does what is wanted of it. Until then it learns of that with its next beat.
    #[must_use]
    pub fn is_obeying(&self) -> bool {
        self.order.as_ref().is_none_or(|wanted| {
            wanted.number == self.report.obeys && wanted.order.fetching == self.report.is_fetching
        })
    }
}

/// The workers of a queue that live.
#[derive(Debug, Clone)]
pub struct Workers {
    /// `None` for a worker without Redis, as tests have it: nothing is kept.
    redis: Option<RedisClient>,
    prefix: String,
}

impl Workers {
    pub(crate) fn new(redis: Option<RedisClient>) -> Self {
        Self { redis, prefix: String::new() }
    }

    /// Those of the queue whose keys begin with `prefix`.
    #[must_use]
    pub fn of_queue(&self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), redis: self.redis.clone() }
    }

    /// Says that a worker lives and which order it obeys. Returns the order to obey.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn beat(
        &self,
        id: &str,
        report: &WorkerReport,
        obeyed: Option<&NumberedOrder>,
    ) -> Result<Option<NumberedOrder>, QueueError> {
        let obeyed = obeyed.map(NumberedOrder::text).unwrap_or_default();
        let arguments = [id.to_owned(), json(report), obeyed, ms(FORGOTTEN)];
        let order: Option<String> = self.eval(BEAT, arguments, Resend::Safe).await?;
        Ok(order.as_deref().and_then(NumberedOrder::read))
    }

    /// Forgets a worker that ends.
    ///
    /// # Errors
    /// When Redis does not answer. Then it is listed for some seconds more.
    pub async fn leave(&self, id: &str) -> Result<(), QueueError> {
        self.eval::<u64>(LEAVE, [id.to_owned()], Resend::Safe).await.map(drop)
    }

    /// Every worker that lives, by id.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn all(&self) -> Result<Vec<LiveWorker>, QueueError> {
        let mut found = self.read("").await?;
        found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }

    /// The worker with this id, if it lives.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn one(&self, id: &str) -> Result<Option<LiveWorker>, QueueError> {
        if id.is_empty() { Ok(None) } else { Ok(self.read(id).await?.pop()) }
    }

    async fn read(&self, id: &str) -> Result<Vec<LiveWorker>, QueueError> {
        let found: Option<Vec<String>> = self.eval(READ, [ms(LIVE), id.to_owned()], Resend::Safe).await?;
        let read = |parts: &[String]| {
            Some(LiveWorker {
                id: parts[0].clone(),
                seen_at: parts[1].parse().ok().and_then(DateTime::from_timestamp_millis)?,
                // What a worker of another version says in other words is left out.
                report: serde_json::from_str(&parts[2]).ok()?,
                order: NumberedOrder::read(&parts[3]),
            })
        };
        Ok(found.unwrap_or_default().chunks_exact(4).filter_map(read).collect())
    }

    /// Keeps what is wanted of a worker until it asks. `false` when no such worker lives.
    ///
    /// # Errors
    /// When Redis does not answer. The order may be there all the same.
    pub async fn order(&self, id: &str, order: &FetchOrder) -> Result<bool, QueueError> {
        let arguments = [ms(LIVE), id.to_owned(), json(order)];
        let kept: Option<u64> = self.eval(ORDER, arguments, Resend::Safe).await?;
        Ok(kept == Some(1))
    }

    /// All keys are in one slot of a cluster. `None` without Redis.
    async fn eval<T: FromRedisValue>(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = String>,
        resend: Resend,
    ) -> Result<Option<T>, QueueError> {
        let Some(redis) = &self.redis else { return Ok(None) };
        let keys = ["seen", "said", "orders"].map(|name| format!("workers:{{{}}}:{name}", self.prefix));
        let mut command = cmd("EVAL");
        command.arg(format!("{SHARED}{script}")).arg(keys.len()).arg(&keys);
        for argument in arguments {
            command.arg(argument);
        }
        redis.query(&keys[0], &command, resend).await.map(Some)
    }
}

fn ms(time: TimeDelta) -> String {
    time.num_milliseconds().to_string()
}

/// These have only texts, numbers and times, so it cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jobs::queue::RedisServer;
    use jobs::redis::RedisAddress;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn report(is_fetching: bool, obeys: u64) -> WorkerReport {
        let slots = SlotsReport { slots: 16, in_flight: 3 };
        WorkerReport {
            host: Some("node-1".into()),
            pid: 7,
            version: "0.1.0".into(),
            started_at: at(0),
            slots: [("jobs".to_owned(), slots)].into(),
            is_fetching,
            obeys,
        }
    }

    fn order(fetching: bool, reason: &str) -> FetchOrder {
        FetchOrder { fetching, since: at(1), by: "operator".into(), reason: Some(reason.into()) }
    }

    fn workers(server: &RedisServer) -> Workers {
        let address = RedisAddress::parse(&server.url().into()).unwrap();
        let redis = RedisClient::new(&address, std::time::Duration::from_secs(5)).unwrap();
        Workers::new(Some(redis)).of_queue("test")
    }

    #[tokio::test]
    async fn a_worker_is_listed_as_long_as_it_says_so() {
        let server = RedisServer::start(&[]).unwrap();
        let workers = workers(&server);
        assert_eq!(workers.all().await.unwrap(), []);
        for id in ["b", "a"] {
            assert_eq!(workers.beat(id, &report(true, 0), None).await.unwrap(), None);
        }
        let all = workers.all().await.unwrap();
        assert_eq!(all.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(all[0].report, report(true, 0));
        assert!(all[0].is_obeying() && all[0].order.is_none());
        assert_eq!(workers.one("b").await.unwrap().map(|found| found.id), Some("b".to_owned()));
        assert_eq!(workers.of_queue("other").all().await.unwrap(), []);
        workers.leave("b").await.unwrap();
        for gone in ["b", "", "nowhere"] {
            assert_eq!(workers.one(gone).await.unwrap(), None, "{gone}");
            assert!(!workers.order(gone, &order(false, "x")).await.unwrap(), "{gone}");
        }
        assert_eq!(workers.all().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_order_reaches_its_worker_with_the_next_beat_and_the_last_one_counts() {
        let server = RedisServer::start(&[]).unwrap();
        let workers = workers(&server);
        workers.beat("a", &report(true, 0), None).await.unwrap();
        workers.beat("b", &report(true, 0), None).await.unwrap();
        for reason in ["one", "two"] {
            assert!(workers.order("a", &order(false, reason)).await.unwrap());
        }
        let shown = workers.one("a").await.unwrap().unwrap();
        assert!(!shown.is_obeying(), "it has not asked yet");
        let told = workers.beat("a", &report(true, 0), None).await.unwrap().unwrap();
        assert_eq!(told.order, order(false, "two"));
        assert_eq!(workers.beat("b", &report(true, 0), None).await.unwrap(), None, "it was not meant");
        workers.beat("a", &report(true, told.number), Some(&told)).await.unwrap();
        assert!(!workers.one("a").await.unwrap().unwrap().is_obeying(), "it has not stopped yet");
        workers.beat("a", &report(false, told.number), Some(&told)).await.unwrap();
        assert!(workers.one("a").await.unwrap().unwrap().is_obeying());
        assert!(workers.order("a", &order(true, "three")).await.unwrap());
        let again = workers.beat("a", &report(false, told.number), Some(&told)).await.unwrap().unwrap();
        assert!(again.number > told.number && again.order.fetching);
    }

    /// The worker remembers what it obeys: Redis has it again with the next beat.
    #[tokio::test]
    async fn a_redis_that_lost_its_data_learns_what_is_obeyed() {
        let server = RedisServer::start(&[]).unwrap();
        let workers = workers(&server);
        workers.beat("a", &report(true, 0), None).await.unwrap();
        workers.order("a", &order(false, "why")).await.unwrap();
        let told = workers.beat("a", &report(true, 0), None).await.unwrap().unwrap();
        let redis = workers.redis.as_ref().unwrap();
        let () = redis.query("x", &cmd("FLUSHALL"), Resend::Safe).await.unwrap();
        assert_eq!(workers.all().await.unwrap(), []);
        let said = workers.beat("a", &report(false, told.number), Some(&told)).await.unwrap();
        assert_eq!(said.as_ref(), Some(&told));
        assert_eq!(workers.one("a").await.unwrap().unwrap().order, Some(told));
    }
}
