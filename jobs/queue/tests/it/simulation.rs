//! Fifty workers in virtual time: the share that each tenant gets (case 11, invariant 8).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{ClaimedJob, FetchRequest, Fetched, FinishedJob, PartitionShare, Verdict};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{Harness, tenant};

const WORKERS: usize = 50;
/// Shares are measured from here to there, in milliseconds. Before, nothing is known of how long jobs take, and
/// debts of that time are paid back.
const WINDOW: (u64, u64) = (20_000, 80_000);
/// Jobs that a tenant with a backlog has at least.
const BACKLOG: usize = 200;

/// A tenant, and how long its jobs take.
struct Customer {
    name: &'static str,
    weight: u32,
    cap: Option<u32>,
    /// One of these, in milliseconds, at random.
    lengths: &'static [u64],
    /// Milliseconds between two pushes of one job; `None` always has a backlog.
    every: Option<u64>,
}

const fn busy(name: &'static str, weight: u32, lengths: &'static [u64]) -> Customer {
    Customer { name, weight, cap: None, lengths, every: None }
}

const fn capped(name: &'static str, weight: u32, cap: u32, lengths: &'static [u64]) -> Customer {
    Customer { name, weight, cap: Some(cap), lengths, every: None }
}

/// Pushes one job a time, and waits for it.
const fn light(name: &'static str, every: u64) -> Customer {
    Customer { name, weight: 1, cap: None, lengths: &[10], every: Some(every) }
}

struct Running {
    job: ClaimedJob,
    fence: u64,
    started: u64,
    ends: u64,
}

struct Simulation<'a> {
    h: Harness,
    rng: StdRng,
    customers: &'a [Customer],
    now: u64,
    workers: Vec<Option<Running>>,
    attempt: u64,
    /// Jobs that wait, of tenants with a backlog; when they were pushed, of the others.
    backlogs: BTreeMap<&'static str, usize>,
    pushed: BTreeMap<&'static str, VecDeque<u64>>,
    /// Worker time in the window, in milliseconds.
    used: BTreeMap<&'static str, u64>,
    waits: Vec<u64>,
}

impl<'a> Simulation<'a> {
    async fn new(seed: u64, customers: &'a [Customer]) -> Self {
        let h = Harness::new().await;
        for customer in customers {
            let share = PartitionShare {
                weight: Some(customer.weight),
                cap: customer.cap,
                ..PartitionShare::default()
            };
            h.queue.partition_set(&tenant(customer.name), share).await.unwrap();
        }
        Self {
            h,
            rng: StdRng::seed_from_u64(seed),
            customers,
            now: 0,
            workers: (0..WORKERS).map(|_| None).collect(),
            attempt: 0,
            backlogs: BTreeMap::new(),
            pushed: BTreeMap::new(),
            used: BTreeMap::new(),
            waits: Vec::new(),
        }
    }

    async fn run(mut self) -> Self {
        while self.now < WINDOW.1 {
            self.push().await;
            self.fetch().await;
            self.advance();
            self.finish().await;
        }
        self
    }

    async fn push(&mut self) {
        for customer in self.customers {
            let jobs = match customer.every {
                None if self.backlogs.get(customer.name).is_none_or(|&jobs| jobs < BACKLOG) => BACKLOG,
                Some(every) if self.now.is_multiple_of(every) => 1,
                _ => continue,
            };
            let jobs: Vec<_> = (0..jobs).map(|_| self.h.ping(customer.name)).collect();
            self.h.push(&jobs).await;
            match customer.every {
                None => *self.backlogs.entry(customer.name).or_default() += jobs.len(),
                Some(_) => self.pushed.entry(customer.name).or_default().push_back(self.now),
            }
        }
    }

    async fn fetch(&mut self) {
        for number in 0..WORKERS {
            if self.workers[number].is_some() {
                continue;
            }
            let Some((job, fence)) = self.claim(number).await else { return };
            let customer = self.customers.iter().find(|customer| customer.name == &*job.partition).unwrap();
            if let Some(backlog) = self.backlogs.get_mut(customer.name) {
                *backlog -= 1;
            } else {
                let pushed = self.pushed.get_mut(customer.name).and_then(VecDeque::pop_front);
                let since = pushed.unwrap();
                if since >= WINDOW.0 {
                    self.waits.push(self.now - since);
                }
            }
            let length = customer.lengths[self.rng.random_range(0..customer.lengths.len())];
            self.workers[number] = Some(Running { job, fence, started: self.now, ends: self.now + length });
        }
    }

    async fn claim(&mut self, worker: usize) -> Option<(ClaimedJob, u64)> {
        self.attempt += 1;
        let (worker, attempt) = (format!("w{worker}"), self.attempt);
        let (worker, skills) = (worker.as_str(), self.h.skills.as_slice());
        let request = FetchRequest { worker, attempt, shard: 0, turn: None, skills, limit: 1, quantum: 1 };
        match self.h.queue.fetch(request).await.unwrap() {
            Fetched::Claim(mut claim) => claim.jobs.pop().map(|job| (job, claim.fence)),
            Fetched::Nothing { .. } => None,
        }
    }

    /// To the next moment at which something happens.
    fn advance(&mut self) {
        let ends = self.workers.iter().flatten().map(|running| running.ends);
        let pushes = self.customers.iter().filter_map(|customer| customer.every);
        let pushes = pushes.map(|every| self.now / every * every + every);
        let next = ends.chain(pushes).min().unwrap();
        self.h.clock.advance(Duration::from_millis(next - self.now));
        self.now = next;
        assert_eq!(self.h.clock.now_ms().unsigned_abs() - 1_800_000_000_000, self.now);
    }

    async fn finish(&mut self) {
        let mut finished = Vec::new();
        for worker in &mut self.workers {
            let Some(Running { job, fence, started, .. }) =
                worker.take_if(|running| running.ends <= self.now)
            else {
                continue;
            };
            let took = Duration::from_millis(self.now - started);
            finished.push(FinishedJob::new(&job, fence, Verdict::Completed).took(&job, took));
            let name = self.customers.iter().find(|customer| customer.name == &*job.partition).unwrap().name;
            let inside = self.now.min(WINDOW.1).saturating_sub(started.max(WINDOW.0));
            *self.used.entry(name).or_default() += inside;
        }
        let applied = self.h.queue.finish(&finished).await.unwrap();
        assert!(applied.into_iter().all(|applied| applied));
    }

    /// The average number of workers of each customer.
    fn shares(&mut self) -> BTreeMap<&'static str, f64> {
        for Running { job, started, .. } in self.workers.iter().flatten() {
            let name = self.customers.iter().find(|customer| customer.name == &*job.partition).unwrap().name;
            *self.used.entry(name).or_default() += WINDOW.1.saturating_sub((*started).max(WINDOW.0));
        }
        let length = f64::from(u32::try_from(WINDOW.1 - WINDOW.0).unwrap());
        let share = |used: u64| f64::from(u32::try_from(used).unwrap()) / length;
        self.used.iter().map(|(name, used)| (*name, share(*used))).collect()
    }
}

/// How many workers each busy customer should have: shares by weight, except for customers whose cap is below their
/// share. The rest is shared out in the same way.
fn fair(customers: &[Customer], workers: f64) -> BTreeMap<&'static str, f64> {
    let mut fair: BTreeMap<&'static str, f64> = BTreeMap::new();
    loop {
        let free = workers - fair.values().sum::<f64>();
        let open = || customers.iter().filter(|customer| !fair.contains_key(customer.name));
        let weights: f64 = open().map(|customer| f64::from(customer.weight)).sum();
        let share = |customer: &Customer| free * f64::from(customer.weight) / weights;
        let full = open().find(|customer| customer.cap.is_some_and(|cap| f64::from(cap) <= share(customer)));
        let Some(full) = full else {
            let rest: Vec<_> = open().map(|customer| (customer.name, share(customer))).collect();
            fair.extend(rest);
            return fair;
        };
        fair.insert(full.name, full.cap.map_or(0.0, f64::from));
    }
}

fn assert_fair(found: &BTreeMap<&'static str, f64>, expected: &BTreeMap<&'static str, f64>) {
    for (name, expected_workers) in expected {
        let off = (found[name] / expected_workers - 1.0).abs();
        assert!(off <= 0.03, "{name} is {:.1} % off:\n{found:.3?}\n{expected:.3?}", 100.0 * off);
    }
}

#[tokio::test]
async fn worker_time_is_shared_by_weight_however_long_jobs_take() {
    let customers = [
        busy("long", 1, &[1_000]),
        busy("mixed", 2, &[1, 10, 100, 1_000]),
        busy("short", 3, &[20, 50]),
        busy("middle", 4, &[200, 300, 400]),
        busy("steady", 5, &[100]),
        busy("extremes", 6, &[1, 1_000]),
        busy("half", 7, &[500]),
        busy("heavy", 8, &[80, 160, 900]),
    ];
    let shares = Simulation::new(1, &customers).await.run().await.shares();
    assert_fair(&shares, &fair(&customers, 50.0));
}

#[tokio::test]
async fn who_is_capped_has_its_cap_and_others_share_the_rest() {
    let customers = [
        capped("small", 8, 2, &[10, 300]),
        capped("tight", 6, 5, &[1, 1_000]),
        // Its share is below its cap.
        capped("wide", 1, 20, &[400, 600]),
        busy("one", 1, &[1_000]),
        busy("two", 2, &[100]),
        busy("four", 4, &[50, 900]),
    ];
    let shares = Simulation::new(2, &customers).await.run().await.shares();
    let expected = fair(&customers, 50.0);
    assert!((expected["small"] - 2.0).abs() < 0.01 && expected["wide"] < 6.0, "{expected:?}");
    assert_fair(&shares, &expected);
}

/// All workers are busy with the neighbour's jobs of a second, so one is free every 20 ms.
#[tokio::test]
async fn a_noisy_neighbour_is_not_heard() {
    let customers = [
        busy("noisy", 1, &[701, 853, 997, 1_153, 1_301]),
        light("calm", 250),
        light("quiet", 350),
        light("still", 1_000),
    ];
    let simulation = Simulation::new(3, &customers).await.run().await;
    let mut waits = simulation.waits;
    waits.sort_unstable();
    assert!(waits.len() > 250, "{} jobs of light tenants", waits.len());
    let at = |percent: usize| waits[waits.len() * percent / 100];
    let (half, most, longest) = (at(50), at(99), waits[waits.len() - 1]);
    assert!(half <= 30 && most <= 150 && longest <= 300, "waits of {half}, {most} and {longest} ms");
}
