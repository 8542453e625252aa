//! Reads everything in one round trip.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, Value};

use super::row::Row;
use crate::model::plain::Model;
use crate::model::world::{BRANCHES, SKILLS, TENANTS, TYPES};
use crate::support::Harness;

pub(in crate::model) type Scores = Vec<(String, f64)>;
pub(in crate::model) type Hash = BTreeMap<String, String>;

/// Everything that the queue has stored, at one moment.
#[derive(Debug, Default)]
pub(in crate::model) struct Snapshot {
    pub(in crate::model) virtual_clock: u64,
    pub(in crate::model) rows: BTreeMap<String, Vec<u8>>,
    pub(in crate::model) records: BTreeMap<String, Vec<u8>>,
    /// Skills by their numbers.
    pub(in crate::model) skills: Hash,
    pub(in crate::model) queues: Hash,
    pub(in crate::model) timers: BTreeMap<String, f64>,
    pub(in crate::model) leases: BTreeMap<String, f64>,
    pub(in crate::model) left: Hash,
    pub(in crate::model) signals: BTreeMap<String, f64>,
    pub(in crate::model) litter: Vec<String>,
    /// By id.
    pub(in crate::model) ended: Hash,
    /// By tenant, packed.
    pub(in crate::model) totals: BTreeMap<String, Vec<u8>>,
    /// By number of skill.
    pub(in crate::model) ready: Vec<BTreeMap<String, f64>>,
    pub(in crate::model) tenants: Vec<TenantKeys>,
    /// By fence.
    pub(in crate::model) claims: BTreeMap<u64, Option<String>>,
    /// By tenant and group.
    pub(in crate::model) groups: BTreeMap<(usize, String), Hash>,
    /// The contents of the cancelled batches that `litter` names.
    pub(in crate::model) heaps: Vec<Vec<String>>,
}

#[derive(Debug, Default)]
pub(in crate::model) struct TenantKeys {
    /// By skill and level, of those in which the tenant ever had jobs.
    pub(in crate::model) lists: BTreeMap<(usize, u8), Lists>,
    pub(in crate::model) ghosts: Hash,
    pub(in crate::model) active: Hash,
    pub(in crate::model) cancels: Hash,
    /// Scheduled, retryable, parked, dead letters, quarantine.
    pub(in crate::model) sets: Vec<Scores>,
    pub(in crate::model) why: Hash,
    pub(in crate::model) member_of: Hash,
    pub(in crate::model) keys: Hash,
    pub(in crate::model) key_of: Hash,
    pub(in crate::model) expiries: BTreeMap<String, f64>,
    pub(in crate::model) settings: Hash,
    /// By type.
    pub(in crate::model) slots: Vec<BTreeSet<String>>,
}

/// The keys of one level: one list, or the branches in turn with a list for each.
#[derive(Debug, Default)]
pub(in crate::model) struct Lists {
    pub(in crate::model) one: Vec<String>,
    pub(in crate::model) turns: Vec<String>,
    pub(in crate::model) branches: Vec<Vec<String>>,
}

impl Lists {
    pub(in crate::model) fn is_empty(&self) -> bool {
        self.one.is_empty() && self.turns.is_empty() && self.branches.iter().all(Vec::is_empty)
    }
}

/// Kinds of sets of jobs with scores.
pub(in crate::model) const SETS: [&str; 5] = ["s", "y", "k", "x", "q"];

impl Snapshot {
    pub(in crate::model) fn row(&self, tenant: usize) -> Result<Option<Row>, String> {
        let Some(bytes) = self.rows.get(TENANTS[tenant]) else { return Ok(None) };
        Row::read(bytes).map(Some).ok_or_else(|| format!("the row of {} cannot be read", TENANTS[tenant]))
    }

    /// The queue's number of a skill.
    pub(in crate::model) fn skill_number(&self, skill: usize) -> Option<usize> {
        self.skills.get(SKILLS[skill].name)?.parse().ok()
    }
}

pub(in crate::model) struct Reader {
    pub(in crate::model) redis: MultiplexedConnection,
    prefix: String,
    /// The queue's numbers of the skills, as far as they are known: they never change.
    numbers: BTreeMap<usize, String>,
}

struct Answers(std::vec::IntoIter<Value>);

impl Answers {
    fn next<T: FromRedisValue>(&mut self) -> T {
        let value = self.0.next().expect("there is an answer to each question");
        T::from_redis_value(value).expect("keys have the types that they should have")
    }
}

impl Reader {
    pub(in crate::model) async fn new(h: &Harness) -> Self {
        Self { redis: h.redis().await, prefix: h.key(""), numbers: BTreeMap::new() }
    }

    pub(in crate::model) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(in crate::model) async fn read(&mut self, model: &Model) -> Snapshot {
        let lists: BTreeSet<_> = model.jobs.values().map(|job| job.spec.list()).collect();
        self.learn_numbers(lists.iter().map(|(_, skill, _)| *skill).collect()).await;
        let known = |(_, skill, _): &&(usize, usize, u8)| self.numbers.contains_key(skill);
        let lists: Vec<_> = lists.iter().filter(known).copied().collect();
        let mut pipeline = Pipeline::new();
        self.ask_for_shard(&mut pipeline);
        for tenant in TENANTS {
            self.ask_for_tenant(&mut pipeline, tenant);
        }
        for list in &lists {
            self.ask_for_list(&mut pipeline, *list);
        }
        let fences: Vec<u64> = model.claims.iter().map(|claim| claim.fence).collect();
        for fence in &fences {
            pipeline.get(self.key(&format!("c:{fence}")));
        }
        let groups: Vec<(usize, String)> =
            model.groups.keys().map(|(tenant, group)| (*tenant, group.to_string())).collect();
        for (tenant, group) in &groups {
            pipeline.hgetall(self.key(&format!("t:{}:g:{group}", TENANTS[*tenant])));
        }
        let answers: Vec<Value> = pipeline.query_async(&mut self.redis).await.expect("Redis answers");
        let mut answers = Answers(answers.into_iter());
        let mut found = shard(&mut answers);
        found.tenants = (0..TENANTS.len()).map(|_| tenant_keys(&mut answers)).collect();
        for (tenant, skill, level) in lists {
            let (one, turns) = (answers.next(), answers.next());
            let branches = BRANCHES.iter().map(|_| answers.next()).collect();
            found.tenants[tenant].lists.insert((skill, level), Lists { one, turns, branches });
        }
        found.claims = fences.into_iter().map(|fence| (fence, answers.next())).collect();
        found.groups = groups.into_iter().map(|group| (group, answers.next())).collect();
        if !found.litter.is_empty() {
            found.heaps = self.heaps(&found.litter).await;
        }
        found
    }

    fn ask_for_shard(&self, pipeline: &mut Pipeline) {
        pipeline.get(self.key("V"));
        for hash in ["T", "e", "L", "P", "n"] {
            pipeline.hgetall(self.key(hash));
        }
        for set in ["w", "l", "s"] {
            pipeline.zrange_withscores(self.key(set), 0, -1);
        }
        pipeline.lrange(self.key("gc"), 0, -1).hgetall(self.key("f")).hgetall(self.key("o"));
        for skill in 0..SKILLS.len() {
            pipeline.zrange_withscores(self.key(&format!("r:{skill}")), 0, -1);
        }
    }

    /// Skills get their numbers when they are named first.
    async fn learn_numbers(&mut self, skills: BTreeSet<usize>) {
        if skills.iter().all(|skill| self.numbers.contains_key(skill)) {
            return;
        }
        let mut command = redis::cmd("HGETALL");
        let key = self.key("L");
        let known: Hash = command.arg(key).query_async(&mut self.redis).await.expect("Redis answers");
        let number = |skill: usize| Some((skill, known.get(SKILLS[skill].name)?.clone()));
        self.numbers = (0..SKILLS.len()).filter_map(number).collect();
    }

    fn ask_for_list(&self, pipeline: &mut Pipeline, (tenant, skill, level): (usize, usize, u8)) {
        let key = self.key(&format!("t:{}:{}.{level}", TENANTS[tenant], self.numbers[&skill]));
        pipeline.lrange(&key, 0, -1).lrange(format!("{key}*"), 0, -1);
        for branch in BRANCHES {
            pipeline.lrange(format!("{key}/{branch}"), 0, -1);
        }
    }

    fn ask_for_tenant(&self, pipeline: &mut Pipeline, tenant: &str) {
        let key = |name: &str| self.key(&format!("t:{tenant}:{name}"));
        for hash in ["H", "a", "c", "z", "m", "u", "U", "S"] {
            pipeline.hgetall(key(hash));
        }
        for set in SETS {
            pipeline.zrange_withscores(key(set), 0, -1);
        }
        pipeline.zrange_withscores(key("v"), 0, -1);
        for kind in TYPES {
            pipeline.smembers(key(&format!("a:{kind}")));
        }
    }

    /// The contents of the cancelled batches that wait for the sweeper, in its order.
    async fn heaps(&mut self, litter: &[String]) -> Vec<Vec<String>> {
        let keys: Vec<&str> = litter.iter().filter_map(|entry| Some(entry.split_once('\n')?.1)).collect();
        let mut pipeline = Pipeline::new();
        for key in &keys {
            pipeline.cmd("TYPE").arg(key);
        }
        let types: Vec<String> = pipeline.query_async(&mut self.redis).await.expect("Redis answers");
        let mut pipeline = Pipeline::new();
        for (key, kind) in keys.iter().zip(&types) {
            if kind == "zset" {
                pipeline.zrange(key, 0, -1)
            } else {
                pipeline.lrange(key, 0, -1)
            };
        }
        pipeline.query_async(&mut self.redis).await.expect("Redis answers")
    }
}

fn shard(answers: &mut Answers) -> Snapshot {
    let virtual_clock = answers.next::<Option<u64>>().unwrap_or(0);
    let (rows, records) = (answers.next(), answers.next());
    let (skills, queues, left) = (answers.next(), answers.next(), answers.next());
    let mut scores = || answers.next::<Scores>().into_iter().collect();
    let (timers, leases, signals) = (scores(), scores(), scores());
    let (litter, ended, totals) = (answers.next(), answers.next(), answers.next());
    let ready = SKILLS.iter().map(|_| answers.next::<Scores>().into_iter().collect()).collect();
    Snapshot {
        virtual_clock,
        rows,
        records,
        skills,
        queues,
        timers,
        leases,
        left,
        signals,
        litter,
        ended,
        totals,
        ready,
        ..Snapshot::default()
    }
}

fn tenant_keys(answers: &mut Answers) -> TenantKeys {
    let ghosts = answers.next();
    let (active, cancels, why, member_of) = (answers.next(), answers.next(), answers.next(), answers.next());
    let (keys, key_of, settings) = (answers.next(), answers.next(), answers.next());
    let sets = SETS.iter().map(|_| answers.next()).collect();
    let expiries = answers.next::<Scores>().into_iter().collect();
    let slots = TYPES.iter().map(|_| answers.next()).collect();
    TenantKeys {
        lists: BTreeMap::new(),
        ghosts,
        active,
        cancels,
        sets,
        why,
        member_of,
        keys,
        key_of,
        expiries,
        settings,
        slots,
    }
}
