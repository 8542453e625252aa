//! Random commands, given to both queues at once under one clock: both must answer the same, and show the
//! same afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::clock::{Clock as _, ManualClock};
use fair_queue::{Finish, JobId, Kept, NewJob, OnConflict, OnFailure, PartitionShare, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::claimed::Claimed;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping, Unique};

const TENANTS: [&str; 2] = ["acme", "globex"];
/// Cases in a normal run; `PROPTEST_CASES` asks for more.
const CASES: u32 = 24;

#[derive(Debug, Clone)]
enum Command {
    Push {
        tenant: usize,
        jobs: usize,
        /// What makes it unique, and what to do about a conflict.
        unique: Option<(u32, OnConflict)>,
        delay_ms: u64,
    },
    /// Takes all that may run.
    Fetch,
    Finish {
        job: usize,
        end: usize,
        /// It opens a group with as many members.
        members: Option<usize>,
        on_failure: OnFailure,
    },
    Advance {
        ms: u64,
    },
    Reap,
    Redrive {
        job: usize,
    },
    Cancel {
        job: usize,
    },
    CancelTenant {
        tenant: usize,
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
    let on_conflict =
        prop_oneof![Just(OnConflict::Keep), Just(OnConflict::Replace), Just(OnConflict::Reschedule)];
    let unique = proptest::option::weighted(0.3, (0..3_u32, on_conflict));
    let on_failure = prop_oneof![Just(OnFailure::Continue), Just(OnFailure::Cancel)];
    prop_oneof![
        8 => (0..2_usize, 1..4_usize, unique, prop_oneof![2 => Just(0), 1 => 1..20_000_u64])
            .prop_map(|(tenant, jobs, unique, delay_ms)| Command::Push { tenant, jobs, unique, delay_ms }),
        8 => Just(Command::Fetch),
        16 => (number.clone(), 0..7_usize, members, on_failure).prop_map(|(job, end, members, on_failure)| {
            Command::Finish { job, end, members, on_failure }
        }),
        6 => prop_oneof![1..3_000_u64, 10_000..40_000_u64].prop_map(|ms| Command::Advance { ms }),
        2 => Just(Command::Reap),
        2 => number.clone().prop_map(|job| Command::Redrive { job }),
        2 => number.prop_map(|job| Command::Cancel { job }),
        1 => (0..2_usize).prop_map(|tenant| Command::CancelTenant { tenant }),
        2 => (0..2_usize, 0..4_u32, prop::bool::weighted(0.2))
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
        5 => Verdict::Waiting { after: Duration::from_millis(700), reason },
        _ => Verdict::Completed,
    }
}

struct Twins {
    redis: Site,
    memory: Site,
    clock: ManualClock,
    jobs: Vec<NewJob>,
    claimed: Vec<(Claimed, Claimed)>,
}

impl Twins {
    async fn new() -> Self {
        let memory = Site::in_memory();
        let clock = memory.clock.clone();
        let redis = Site::redis_at(clock.clone()).await;
        // Redis forgets an idle tenant without settings, and with it which priority has its turn.
        let share = PartitionShare { weight: Some(2), ..PartitionShare::default() };
        for tenant in TENANTS {
            redis.partition_set(tenant, share.clone()).await;
            memory.partition_set(tenant, share.clone()).await;
        }
        Self { redis, memory, clock, jobs: Vec::new(), claimed: Vec::new() }
    }

    async fn apply(&mut self, command: &Command) {
        match *command {
            Command::Push { tenant, jobs, unique, delay_ms } => {
                let options = EnqueueOptions {
                    scheduled_at: Some(self.clock.now() + Duration::from_millis(delay_ms)),
                    unique: unique.map(|(_, how)| Unique::args().on_conflict(how)),
                    ..EnqueueOptions::default()
                };
                let n = unique.map_or(0, |(n, _)| n);
                let make = |_| self.memory.job(TENANTS[tenant], &Ping { n }, options);
                let jobs: Vec<_> = (0..jobs).map(make).collect();
                assert_eq!(self.redis.push(&jobs).await, self.memory.push(&jobs).await);
                self.jobs.extend(jobs);
            }
            Command::Fetch => self.fetch().await,
            Command::Finish { job, end, members, on_failure } => {
                self.finish(job, end, members, on_failure).await;
            }
            Command::Cancel { job } if !self.jobs.is_empty() => {
                let job = &self.jobs[job % self.jobs.len()];
                let (tenant, id) = (job.partition.as_str(), job.id);
                assert_eq!(self.redis.cancel(tenant, id).await, self.memory.cancel(tenant, id).await);
            }
            Command::CancelTenant { tenant } => {
                let tenant = TENANTS[tenant];
                assert_eq!(
                    self.redis.cancel_partition(tenant).await,
                    self.memory.cancel_partition(tenant).await
                );
            }
            Command::Advance { ms } => self.clock.advance(Duration::from_millis(ms)),
            Command::Reap => {
                let (mut one, mut other) = (self.redis.reap().await, self.memory.reap().await);
                one.sort_unstable();
                other.sort_unstable();
                assert_eq!(one, other, "reaped");
            }
            Command::Redrive { job } if !self.jobs.is_empty() => {
                let job = &self.jobs[job % self.jobs.len()];
                let (tenant, id) = (job.partition.as_str(), job.id);
                assert_eq!(self.redis.redrive(tenant, id).await, self.memory.redrive(tenant, id).await);
            }
            Command::Redrive { .. } | Command::Cancel { .. } => {}
            Command::Set { tenant, cap, paused } => {
                let share =
                    PartitionShare { cap: Some(cap), paused: Some(paused), ..PartitionShare::default() };
                self.redis.partition_set(TENANTS[tenant], share.clone()).await;
                self.memory.partition_set(TENANTS[tenant], share).await;
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
    async fn finish(&mut self, job: usize, end: usize, members: Option<usize>, on_failure: OnFailure) {
        if self.claimed.is_empty() {
            return;
        }
        let (one, other) = self.claimed[job % self.claimed.len()].clone();
        let parent = self.jobs.iter().find(|job| job.id == one.id).expect("only known jobs are claimed");
        let verdict = verdict(end);
        let mut finish = match members.filter(|_| verdict.is_final()) {
            Some(members) => Finish { verdict, ..self.memory.fan_out(parent, members) },
            None => Finish::of(verdict),
        };
        if let Some(group) = &mut finish.group {
            group.on_failure = on_failure;
        }
        let applied = self.redis.finish(&one, finish.clone()).await;
        assert_eq!(applied, self.memory.finish(&other, finish.clone()).await, "finished");
        if applied {
            self.jobs.extend(finish.group.map(|group| group.continuation));
            self.jobs.extend(finish.children);
        }
    }

    async fn compare(&self) {
        for job in &self.jobs {
            let (tenant, id) = (job.partition.as_str(), job.id);
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
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
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
