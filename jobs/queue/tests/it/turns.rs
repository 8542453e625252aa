//! Turns inside a tenant: of its branches, such as knowledge bases, and of its lanes.

use std::time::Duration;

use fair_queue::{Claim, JobFilter, JobId, Lane, NewJob, PartitionShare, Redriven, Verdict, WaitsFor};

use crate::support::{EnqueueOptions, Harness, Ping, ids, tenant};

const NORTH: EnqueueOptions = of("north");
const SOUTH: EnqueueOptions = of("south");

const fn of(branch: &'static str) -> EnqueueOptions {
    EnqueueOptions {
        id: None,
        scheduled_at: None,
        lane: Lane::Interactive,
        priority: None,
        branch,
        group: None,
        unique: None,
    }
}

fn bulk(options: EnqueueOptions) -> EnqueueOptions {
    EnqueueOptions { lane: Lane::Bulk, ..options }
}

fn pings(h: &Harness, count: usize, options: EnqueueOptions) -> Vec<NewJob> {
    (0..count).map(|_| h.job("acme", &Ping::default(), options)).collect()
}

async fn push(h: &Harness, count: usize, options: EnqueueOptions) -> Vec<String> {
    let jobs = pings(h, count, options);
    h.push(&jobs).await;
    jobs.iter().map(|job| job.id.to_string()).collect()
}

/// Runs jobs until one of these has started. How many started before it.
async fn started_before(h: &Harness, wanted: &[String], batch: usize) -> usize {
    let mut before = 0;
    loop {
        let claim = h.fetch(batch).await;
        assert!(!claim.jobs.is_empty(), "it never starts");
        let found = ids(&claim).iter().position(|id| wanted.contains(id));
        h.complete(&claim).await;
        match found {
            Some(at) => return before + at,
            None => before += claim.jobs.len(),
        }
    }
}

async fn lane_of(h: &Harness, id: &str) -> Lane {
    h.queue.lookup(&tenant("acme"), id.parse().unwrap()).await.unwrap().unwrap().lane
}

#[tokio::test]
async fn a_branch_starts_within_a_few_jobs_beside_ten_thousand_of_another() {
    let h = Harness::new().await;
    push(&h, 10_000, NORTH).await;
    h.complete(&h.fetch(100).await).await;
    for batch in [1, 4, 32] {
        let late = push(&h, 1, SOUTH).await;
        let before = started_before(&h, &late, batch).await;
        assert!(before <= 4, "{before} jobs started before it, {batch} at a time");
    }
    let nameless = push(&h, 1, of("")).await;
    assert!(started_before(&h, &nameless, 1).await <= 4, "jobs without a branch have a turn of their own");
}

#[tokio::test]
async fn an_interactive_job_starts_within_a_few_jobs_beside_a_hundred_thousand_of_bulk() {
    let h = Harness::new().await;
    for _ in 0..10 {
        push(&h, 10_000, bulk(NORTH)).await;
    }
    h.complete(&h.fetch(100).await).await;
    for (batch, options) in [(1, NORTH), (4, SOUTH), (1, of("")), (32, NORTH)] {
        let upload = push(&h, 1, options).await;
        let before = started_before(&h, &upload, batch).await;
        assert!(before <= 4, "{before} jobs started before it, {batch} at a time");
    }
}

#[tokio::test]
async fn bulk_has_a_fifth_of_the_turns_while_interactive_jobs_wait_and_all_of_them_alone() {
    let h = Harness::new().await;
    let waiting = push(&h, 200, bulk(NORTH)).await;
    push(&h, 200, NORTH).await;
    let mut started = Vec::new();
    for _ in 0..200 {
        let claim = h.fetch(1).await;
        started.push(waiting.contains(&ids(&claim)[0]));
        h.complete(&claim).await;
    }
    let of_bulk = started.iter().filter(|is_bulk| **is_bulk).count();
    assert!((39..=41).contains(&of_bulk), "{of_bulk} of 200");
    assert!(started.windows(5).all(|five| five.iter().any(|is_bulk| *is_bulk)), "it never waits for longer");
    for _ in 0..60 {
        h.complete(&h.fetch(1).await).await;
    }
    let alone = h.fetch(10).await;
    assert!(ids(&alone).iter().all(|id| waiting.contains(id)), "nothing interactive is left");
}

#[tokio::test]
async fn branches_have_equal_turns_whatever_they_queue() {
    let h = Harness::new().await;
    let queued = [(NORTH, 300), (SOUTH, 60), (of("east"), 40)];
    let mut branches = Vec::new();
    for (options, count) in queued {
        branches.push(push(&h, count, options).await);
    }
    let mut served = [0; 3];
    for _ in 0..10 {
        let claim = h.fetch(12).await;
        for id in ids(&claim) {
            served[branches.iter().position(|branch| branch.contains(&id)).unwrap()] += 1;
        }
        h.complete(&claim).await;
    }
    assert!(served.iter().all(|count| (39..=41).contains(count)), "{served:?}");
}

#[tokio::test]
async fn a_job_of_bulk_stays_one_however_it_comes_back() {
    let h = Harness::new().await;
    let job = push(&h, 1, bulk(NORTH)).await;
    let waits = || Verdict::Retry { after: Duration::ZERO, error: "busy".into() };
    for verdict in [waits(), Verdict::Released, Verdict::Parked { reason: "full".into() }] {
        assert!(h.finish(&h.fetch(1).await, 0, verdict).await);
        h.clock.advance(Duration::from_secs(10));
        assert_eq!(lane_of(&h, &job[0]).await, Lane::Bulk);
        is_passed(&h, &job[0]).await;
    }
    h.fetch(1).await;
    h.let_die().await;
    is_passed(&h, &job[0]).await;
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Discarded { code: "no", reason: String::new() }).await);
    assert_eq!(lane_of(&h, &job[0]).await, Lane::Bulk, "as a dead letter too");
    let redriven = h.queue.redrive(&tenant("acme"), job[0].parse().unwrap()).await.unwrap();
    assert_eq!(redriven, Redriven::Started);
    is_passed(&h, &job[0]).await;
}

/// An interactive job starts before a job of bulk that came before it, unless it is the turn of bulk.
async fn is_passed(h: &Harness, job: &str) {
    let mut bulk_first = 0;
    for _ in 0..2 {
        push(h, 1, SOUTH).await;
        let claim = h.fetch(1).await;
        if ids(&claim) == [job] {
            bulk_first += 1;
            assert!(h.finish(&claim, 0, Verdict::Released).await);
            h.complete(&h.fetch(1).await).await;
        } else {
            h.complete(&claim).await;
        }
    }
    assert!(bulk_first <= 1, "{job} has every turn");
}

#[tokio::test]
async fn a_job_that_is_given_back_is_the_first_of_its_branch() {
    let h = Harness::new().await;
    let north = push(&h, 3, NORTH).await;
    let south = push(&h, 3, SOUTH).await;
    let claim = h.fetch(2).await;
    assert_eq!(ids(&claim), [north[0].clone(), south[0].clone()]);
    for index in [0, 1] {
        assert!(h.finish(&claim, index, Verdict::Released).await);
    }
    let mut again = Vec::new();
    for _ in 0..6 {
        again.extend(ids(&h.fetch(1).await));
    }
    let of = |branch: &[String]| again.iter().filter(|id| branch.contains(id)).cloned().collect::<Vec<_>>();
    assert_eq!((of(&north), of(&south)), (north, south));
}

#[tokio::test]
async fn a_job_says_which_turn_it_waits_for() {
    let h = Harness::new().await;
    let north = push(&h, 7, NORTH).await;
    let explain = async |id: &str| {
        let id: JobId = id.parse().unwrap();
        let found = h.queue.explain(&tenant("acme"), id).await.unwrap().unwrap();
        found.waits_for.into_iter().filter(|wait| wait.code() != "no_worker").collect::<Vec<_>>()
    };
    assert_eq!(explain(&north[6]).await, [WaitsFor::Jobs(6)], "alone, a branch takes no turns");
    let south = push(&h, 2, SOUTH).await;
    assert_eq!(explain(&north[6]).await, [WaitsFor::Turn { branches: 2, ahead: 6 }]);
    assert_eq!(explain(&south[1]).await, [WaitsFor::Turn { branches: 2, ahead: 1 }]);
    let backfill = push(&h, 1, bulk(SOUTH)).await;
    let waits = explain(&backfill[0]).await;
    assert_eq!(waits, [WaitsFor::Bulk]);
    assert_eq!(
        waits[0].to_string(),
        "bulk work gets one turn in 5 while interactive work of the tenant waits"
    );
    let turn = &explain(&south[1]).await[0];
    assert_eq!(
        turn.to_string(),
        "its knowledge base's turn: 2 knowledge bases take turns, 1 jobs of its own are before it"
    );
}

#[tokio::test]
async fn lists_choose_a_lane_and_show_every_branch() {
    let h = Harness::new().await;
    let (north, south) = (push(&h, 5, NORTH).await, push(&h, 5, bulk(SOUTH)).await);
    push(&h, 5, SOUTH).await;
    let list = async |lane, limit| {
        let filter = JobFilter { lane, ..JobFilter::default() };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = h.queue.list(&tenant("acme"), &filter, after.as_ref(), limit).await.unwrap();
            found.extend(page.jobs.into_iter().map(|job| (job.id.to_string(), job.lane)));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    assert_eq!(list(None, 2).await.len(), 15);
    let of_bulk = list(Some(Lane::Bulk), 2).await;
    assert_eq!(of_bulk, south.iter().map(|id| (id.clone(), Lane::Bulk)).collect::<Vec<_>>());
    let interactive = list(Some(Lane::Interactive), 3).await;
    assert!(
        interactive.len() == 10
            && north.iter().all(|id| interactive.contains(&(id.clone(), Lane::Interactive)))
    );
}

#[tokio::test]
async fn what_comes_of_more_branches_than_take_turns_shares_one() {
    const TURNS: usize = 1_000;
    let h = Harness::new().await;
    let named = |number: usize| NewJob {
        branch: fair_queue::Branch::new(&format!("branch {number}")),
        ..h.job("acme", &Ping::default(), of(""))
    };
    let jobs: Vec<_> = (0..TURNS + 20).map(named).collect();
    h.push(&jobs).await;
    let stats = h.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!(stats.available, jobs.len() as u64);
    let waits = h.queue.explain(&tenant("acme"), jobs[0].id).await.unwrap().unwrap().waits_for;
    assert!(waits.contains(&WaitsFor::Turn { branches: TURNS as u64 + 1, ahead: 0 }), "{waits:?}");
    let report = h.queue.cancel_partition(&tenant("acme")).await.unwrap();
    assert_eq!(report.cancelled, jobs.len() as u64);
    while h.queue.sweep(0, 500).await.unwrap() > 0 {}
    assert_eq!(keys(&h).await, Vec::<String>::new());
}

async fn keys(h: &Harness) -> Vec<String> {
    let pattern = h.key("t:*");
    let mut found: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut h.redis().await).await.unwrap();
    found.sort();
    let prefix = h.key("");
    found.iter().map(|key| key.replace(&prefix, "")).collect()
}

#[tokio::test]
async fn an_idle_tenant_leaves_nothing_behind() {
    let h = Harness::new().await;
    for options in [NORTH, SOUTH, bulk(SOUTH), of(""), bulk(NORTH)] {
        push(&h, 4, options).await;
    }
    loop {
        let claim = h.fetch(3).await;
        if claim.jobs.is_empty() {
            break;
        }
        h.complete(&claim).await;
    }
    assert_eq!(keys(&h).await, Vec::<String>::new());
}

#[tokio::test]
async fn turns_that_were_lost_come_back() {
    let h = Harness::new().await;
    let (north, south) = (push(&h, 3, NORTH).await, push(&h, 3, SOUTH).await);
    let turns = h.key("t:acme:0.1*");
    redis::cmd("DEL").arg(turns).query_async::<()>(&mut h.redis().await).await.unwrap();
    h.queue.heal(0, "0", 100).await.unwrap();
    let mut all = [north, south].concat();
    all.extend(push(&h, 1, NORTH).await);
    all.extend(push(&h, 1, SOUTH).await);
    let mut found = Vec::new();
    loop {
        let claim: Claim = h.fetch(2).await;
        if claim.jobs.is_empty() {
            break;
        }
        found.extend(ids(&claim));
        h.complete(&claim).await;
    }
    all.sort();
    found.sort();
    assert_eq!(found, all, "each once");
}

#[tokio::test]
async fn a_cap_of_a_type_holds_in_both_lanes() {
    let h = Harness::new().await;
    let share =
        PartitionShare { type_caps: [("test.ping".into(), Some(2))].into(), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    for options in [NORTH, SOUTH, bulk(NORTH), bulk(SOUTH)] {
        push(&h, 3, options).await;
    }
    let mut done = 0;
    while done < 12 {
        let claim = h.fetch(10).await;
        assert_eq!(claim.jobs.len(), 2);
        assert!(h.fetch(10).await.jobs.is_empty());
        h.complete(&claim).await;
        done += 2;
    }
}
