//! Random commands, given to both queues at once under one clock: both must answer the same, and show the
//! same afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs::clock::{Clock as _, ManualClock};
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::queue::{Finish, Kept, TenantShare, Verdict};
use jobs::{JobId, Priority};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::site::{Claimed, Site};
use crate::queue::support::Ping;

const TENANTS: [&str; 2] = ["acme", "globex"];
/// Cases in a normal run; `PROPTEST_CASES` asks for more.
const CASES: u32 = 24;

#[derive(Debug, Clone)]
enum Command {
    Push {
        tenant: usize,
        jobs: usize,
        priority: i32,
        delay_ms: u64,
    },
    /// Takes all that may run.
    Fetch,
    Finish {
        job: usize,
        end: usize,
        members: Option<usize>,
    },
    Advance {
        ms: u64,
    },
    Reap,
    Redrive {
        job: usize,
    },
    Set {
        tenant: usize,
        cap: u32,
        paused: bool,
    },
}

fn command() -> impl Strategy<Value = Command> {
    let number = 0..1_000_usize;
    let members = proptest::option::weighted(0.3, 0..4_usize);
    prop_oneof![
        4 => (0..2_usize, 1..4_usize, -2..2_i32, prop_oneof![2 => Just(0), 1 => 1..20_000_u64])
            .prop_map(|(tenant, jobs, priority, delay_ms)| Command::Push { tenant, jobs, priority, delay_ms }),
        4 => Just(Command::Fetch),
        8 => (number.clone(), 0..6_usize, members)
            .prop_map(|(job, end, members)| Command::Finish { job, end, members }),
        3 => prop_oneof![1..3_000_u64, 10_000..40_000_u64].prop_map(|ms| Command::Advance { ms }),
        1 => Just(Command::Reap),
        1 => number.prop_map(|job| Command::Redrive { job }),
        1 => (0..2_usize, 0..4_u32, prop::bool::weighted(0.2))
            .prop_map(|(tenant, cap, paused)| Command::Set { tenant, cap, paused }),
    ]
}

/// Parking is left out: the queue on Redis adds a random moment to it.
fn verdict(end: usize) -> Verdict {
    let reason = String::from("as the script says");
    match end {
        0 => Verdict::Retry { after: Duration::from_millis(700), error: reason },
        1 => Verdict::Discarded { code: "discarded", reason },
        2 => Verdict::Quarantined { code: "quarantined", reason },
        3 => Verdict::Dropped { reason },
        4 => Verdict::Released,
        _ => Verdict::Completed,
    }
}

struct Twins {
    redis: Site,
    memory: Site,
    clock: ManualClock,
    jobs: Vec<StampedJob>,
    claimed: Vec<(Claimed, Claimed)>,
}

impl Twins {
    async fn new() -> Self {
        let memory = Site::in_memory();
        let clock = memory.clock.clone();
        let redis = Site::redis_at(clock.clone()).await;
        // Redis forgets an idle tenant without settings, and with it which priority has its turn.
        let share = TenantShare { weight: Some(2), ..TenantShare::default() };
        for tenant in TENANTS {
            redis.tenant_set(tenant, share.clone()).await;
            memory.tenant_set(tenant, share.clone()).await;
        }
        Self { redis, memory, clock, jobs: Vec::new(), claimed: Vec::new() }
    }

    async fn apply(&mut self, command: &Command) {
        match *command {
            Command::Push { tenant, jobs, priority, delay_ms } => {
                let options = EnqueueOptions {
                    priority: Some(Priority::from_number(priority)),
                    scheduled_at: Some(self.clock.now() + Duration::from_millis(delay_ms)),
                    ..EnqueueOptions::default()
                };
                let stamp = |_| self.memory.stamp(TENANTS[tenant], &Ping::default(), options);
                let jobs: Vec<_> = (0..jobs).map(stamp).collect();
                assert_eq!(self.redis.push(&jobs).await, self.memory.push(&jobs).await);
                self.jobs.extend(jobs);
            }
            Command::Fetch => self.fetch().await,
            Command::Finish { job, end, members } => self.finish(job, end, members).await,
            Command::Advance { ms } => self.clock.advance(Duration::from_millis(ms)),
            Command::Reap => {
                let (mut one, mut other) = (self.redis.reap().await, self.memory.reap().await);
                one.sort_unstable();
                other.sort_unstable();
                assert_eq!(one, other, "reaped");
            }
            Command::Redrive { job } if !self.jobs.is_empty() => {
                let job = &self.jobs[job % self.jobs.len()];
                let (tenant, id) = (job.tenant_id().as_str(), job.id());
                assert_eq!(self.redis.redrive(tenant, id).await, self.memory.redrive(tenant, id).await);
            }
            Command::Redrive { .. } => {}
            Command::Set { tenant, cap, paused } => {
                let share = TenantShare { cap: Some(cap), paused: Some(paused), ..TenantShare::default() };
                self.redis.tenant_set(TENANTS[tenant], share.clone()).await;
                self.memory.tenant_set(TENANTS[tenant], share).await;
            }
        }
    }

    async fn fetch(&mut self) {
        let by_id = |jobs: Vec<Claimed>| -> BTreeMap<JobId, Claimed> {
            jobs.into_iter().map(|job| (job.id, job)).collect()
        };
        let (one, other) = (by_id(self.redis.fetch(500).await), by_id(self.memory.fetch(500).await));
        let ids = |jobs: &BTreeMap<JobId, Claimed>| jobs.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(&one), ids(&other), "fetched");
        self.claimed.extend(one.into_values().zip(other.into_values()));
    }

    /// Stale claims are finished as well.
    async fn finish(&mut self, job: usize, end: usize, members: Option<usize>) {
        if self.claimed.is_empty() {
            return;
        }
        let (one, other) = self.claimed[job % self.claimed.len()].clone();
        let parent = self.jobs.iter().find(|job| job.id() == one.id).expect("only known jobs are claimed");
        let verdict = verdict(end);
        let finish = match members.filter(|_| verdict.is_final()) {
            Some(members) => Finish { verdict, ..self.memory.fan_out(parent, members) },
            None => Finish::of(verdict),
        };
        let applied = self.redis.finish(&one, finish.clone()).await;
        assert_eq!(applied, self.memory.finish(&other, finish.clone()).await, "finished");
        if applied {
            self.jobs.extend(finish.group.map(|group| group.continuation));
            self.jobs.extend(finish.children);
        }
    }

    async fn compare(&self) {
        for job in &self.jobs {
            let (tenant, id) = (job.tenant_id().as_str(), job.id());
            assert_eq!(self.redis.lookup(tenant, id).await, self.memory.lookup(tenant, id).await);
        }
        for tenant in TENANTS {
            assert_eq!(self.redis.stats(tenant).await, self.memory.stats(tenant).await);
            for kept in [Kept::Discarded, Kept::Quarantined] {
                assert_eq!(self.redis.kept(tenant, kept).await, self.memory.kept(tenant, kept).await);
            }
        }
    }
}

#[test]
fn both_queues_answer_alike() {
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scripts = prop::collection::vec(command(), 20..60);
    let tested = TestRunner::new(config).run(&scripts, |script| {
        runtime.block_on(async {
            let mut twins = Twins::new().await;
            for command in &script {
                twins.apply(command).await;
            }
            twins.compare().await;
        });
        Ok(())
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}
