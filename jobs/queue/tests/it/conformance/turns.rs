//! Turns inside a tenant.

use std::time::Duration;

use fair_queue::{Lane, Verdict};

use super::site::Site;
use crate::support::{EnqueueOptions, Ping};

fn options(branch: &'static str, lane: Lane) -> EnqueueOptions {
    EnqueueOptions { lane, branch, ..EnqueueOptions::default() }
}

async fn push(site: &Site, count: usize, options: EnqueueOptions) -> Vec<fair_queue::JobId> {
    let jobs: Vec<_> = (0..count).map(|_| site.job("acme", &Ping::default(), options)).collect();
    assert_eq!(site.push(&jobs).await.accepted, count);
    jobs.iter().map(|job| job.id).collect()
}

pub(super) async fn branches_take_turns(site: Site) {
    let north = push(&site, 5, options("north", Lane::Interactive)).await;
    let south = push(&site, 2, options("south", Lane::Interactive)).await;
    let none = push(&site, 1, options("", Lane::Interactive)).await;
    let mut served = Vec::new();
    for _ in 0..8 {
        served.push(site.fetch_one().await.id);
    }
    let expected = [north[0], south[0], none[0], north[1], south[1], north[2], north[3], north[4]];
    assert_eq!(served, expected);
}

pub(super) async fn bulk_has_every_fifth_turn(site: Site) {
    let bulk = push(&site, 4, options("north", Lane::Bulk)).await;
    push(&site, 10, options("north", Lane::Interactive)).await;
    let mut of_bulk = Vec::new();
    for _ in 0..14 {
        of_bulk.push(bulk.contains(&site.fetch_one().await.id));
    }
    let expected = [4, 9, 12, 13].map(|at| of_bulk[at]);
    assert_eq!((expected, of_bulk.iter().filter(|is| **is).count()), ([true; 4], 4), "{of_bulk:?}");
}

pub(super) async fn a_job_keeps_lane_and_branch(site: Site) {
    let job = push(&site, 1, options("north", Lane::Bulk)).await[0];
    let retry = Verdict::Retry { after: Duration::from_secs(1), error: "busy".into() };
    for verdict in [retry, Verdict::Released, Verdict::Discarded { code: "no", reason: String::new() }] {
        assert!(site.finish(&site.fetch_one().await, verdict).await);
        site.clock.advance(Duration::from_secs(5));
    }
    site.redrive("acme", job).await;
    assert_eq!(site.lookup("acme", job).await.unwrap().lane, Lane::Bulk);
    let others = push(&site, 2, options("south", Lane::Bulk)).await;
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(site.fetch_one().await.id);
    }
    assert_eq!(served, [job, others[0], others[1]]);
}
