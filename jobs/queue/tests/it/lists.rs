//! Walks through a tenant's jobs, page by page, while its jobs come, go and move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use fair_queue::clock::Clock as _;
use fair_queue::{
    Claim, JobFilter, JobId, JobState, Kept, Lane, ListCursor, NewJob, OnConflict, Priority, UniqueScope,
    Verdict,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{EnqueueOptions, Harness, Job, Ping, Pong, Unique, skill_of, tenant};

const SEEDS: u64 = 24;

/// A tenant with jobs in every state, and the changes since the walk began.
struct Site {
    h: Harness,
    rng: StdRng,
    claims: Vec<Claim>,
    /// Jobs that were touched meanwhile: a walk may show them twice or not at all.
    moved: BTreeSet<JobId>,
    scheduled: BTreeMap<JobId, chrono::DateTime<chrono::Utc>>,
    known: Vec<JobId>,
}

impl Site {
    async fn new(seed: u64) -> Self {
        let mut h = Harness::new().await;
        h.skills.push(skill_of::<Pong>());
        let mut site = Self {
            h,
            rng: StdRng::seed_from_u64(seed),
            claims: Vec::new(),
            moved: BTreeSet::new(),
            scheduled: BTreeMap::new(),
            known: Vec::new(),
        };
        for _ in 0..site.rng.random_range(5..40) {
            site.push().await;
        }
        for _ in 0..site.rng.random_range(0..6) {
            site.fetch().await;
            site.end_one().await;
        }
        site.moved.clear();
        site
    }

    fn job<J: Job>(&self, job: &J, options: EnqueueOptions) -> NewJob {
        self.h.job("acme", job, options)
    }

    async fn push(&mut self) {
        let priorities = [Priority::High, Priority::Normal, Priority::Low];
        let (n, wait_s) = (self.rng.random_range(0..3), self.rng.random_range(0..4));
        let unique = Unique::args().scope(UniqueScope::UntilFinished).on_conflict(OnConflict::Replace);
        let options = EnqueueOptions {
            // Several at the same moment, so that their ids decide.
            scheduled_at: self
                .rng
                .random_ratio(1, 3)
                .then(|| self.h.clock.now() + TimeDelta::seconds(wait_s)),
            lane: Lane::ALL[self.rng.random_range(0..2)],
            priority: Some(priorities[self.rng.random_range(0..3)]),
            branch: ["", "north", "south.5"][self.rng.random_range(0..3)],
            unique: self.rng.random_ratio(1, 4).then_some(unique),
            ..EnqueueOptions::default()
        };
        let job =
            if self.rng.random() { self.job(&Ping { n }, options) } else { self.job(&Pong { n }, options) };
        let outcome = self.h.queue.push(std::slice::from_ref(&job)).await.unwrap();
        for conflict in outcome.conflicts {
            self.moved.extend([conflict.id, conflict.existing]);
        }
        if let Some(at) = options.scheduled_at {
            self.scheduled.insert(job.id, at);
        }
        self.known.push(job.id);
    }

    async fn fetch(&mut self) {
        let claim = self.h.fetch(self.rng.random_range(1..5)).await;
        // A fetch also moves jobs that are due to their lists.
        let now = self.h.clock.now();
        self.moved.extend(self.scheduled.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id));
        self.moved.extend(claim.jobs.iter().map(|job| job.id.parse::<JobId>().unwrap()));
        if !claim.jobs.is_empty() {
            self.claims.push(claim);
        }
    }

    async fn end_one(&mut self) {
        let Some(claim) = self.claims.pop() else { return };
        for index in 0..claim.jobs.len() {
            let id: JobId = claim.jobs[index].id.parse().unwrap();
            let after = Duration::from_secs(self.rng.random_range(0..3));
            let at = self.h.clock.now() + after;
            let verdict = match self.rng.random_range(0..6) {
                0 => Verdict::Completed,
                1 => Verdict::Discarded { code: "x", reason: String::new() },
                2 => Verdict::Released,
                3 => Verdict::Parked { reason: String::new() },
                _ => Verdict::Retry { after, error: String::new() },
            };
            self.h.finish(&claim, index, verdict).await;
            self.moved.insert(id);
            self.scheduled.insert(id, at);
        }
    }

    async fn cancel_some(&mut self) {
        for _ in 0..3 {
            if let Some(id) = self.known.get(self.rng.random_range(0..self.known.len())).copied() {
                self.h.queue.cancel(&tenant("acme"), id).await.unwrap();
                self.moved.insert(id);
            }
        }
    }

    async fn redrive_some(&mut self) {
        let acme = tenant("acme");
        for kept in self.h.queue.kept(&acme, Kept::Discarded, 2).await.unwrap() {
            self.h.queue.redrive(&acme, kept.id).await.unwrap();
            self.moved.insert(kept.id);
        }
    }

    async fn something(&mut self) {
        match self.rng.random_range(0..8) {
            0 | 1 => self.push().await,
            2 | 3 => self.fetch().await,
            4 => self.end_one().await,
            5 => self.cancel_some().await,
            6 => self.redrive_some().await,
            _ => self.h.clock.advance(Duration::from_millis(700)),
        }
    }

    async fn open(&self) -> Vec<(JobId, JobState)> {
        let page = self.h.queue.list(&tenant("acme"), &JobFilter::default(), None, 10_000).await.unwrap();
        assert_eq!(page.next, None);
        page.jobs.into_iter().map(|job| (job.id, job.state)).collect()
    }
}

#[tokio::test]
async fn what_stays_where_it_is_is_shown_exactly_once() {
    for seed in 0..SEEDS {
        let mut site = Site::new(seed).await;
        let before = site.open().await;
        let (mut shown, mut after) = (Vec::new(), None);
        loop {
            let limit = site.rng.random_range(1..6);
            let filter = JobFilter::default();
            let page = site.h.queue.list(&tenant("acme"), &filter, after.as_ref(), limit).await.unwrap();
            shown.extend(page.jobs.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            after = Some(next.to_string().parse::<ListCursor>().unwrap());
            for _ in 0..site.rng.random_range(0..4) {
                site.something().await;
            }
        }
        // What ran at the start and was not ended since stays where it is, too.
        for (id, state) in before.iter().filter(|(id, _)| !site.moved.contains(id)) {
            let times = shown.iter().filter(|shown| *shown == id).count();
            assert_eq!(times, 1, "seed {seed}: {id}, {state}, of {}", before.len());
        }
    }
}

#[tokio::test]
async fn dead_letters_that_stay_are_shown_exactly_once_newest_first() {
    for seed in 0..SEEDS {
        let (mut site, acme) = (Site::new(seed).await, tenant("acme"));
        for _ in 0..20 {
            site.push().await;
            let claim = site.h.fetch(2).await;
            for index in 0..claim.jobs.len() {
                let verdict = Verdict::Discarded { code: "x", reason: String::new() };
                site.h.finish(&claim, index, verdict).await;
            }
            site.h.clock.advance(Duration::from_millis(site.rng.random_range(0..2)));
        }
        let before = site.h.queue.kept(&acme, Kept::Discarded, 1_000).await.unwrap();
        let (mut shown, mut after, mut gone) = (Vec::new(), None, BTreeSet::new());
        loop {
            let page = site
                .h
                .queue
                .kept_page(&acme, Kept::Discarded, &JobFilter::default(), after.as_ref(), 3)
                .await
                .unwrap();
            shown.extend(page.jobs);
            after = page.next;
            if after.is_none() {
                break;
            }
            // The one at which the page ended, another, and a new one in front.
            let last = shown.last().unwrap().id;
            let other = before[site.rng.random_range(0..before.len())].id;
            for id in [last, other] {
                gone.insert(id);
                site.h.queue.purge(&acme, id).await.unwrap();
            }
            site.h.clock.advance(Duration::from_millis(1));
            site.push().await;
            site.fetch().await;
            site.end_one().await;
        }
        let still: Vec<_> = before.iter().filter(|job| !gone.contains(&job.id)).collect();
        let shown: Vec<_> = shown.iter().filter(|job| still.iter().any(|kept| kept.id == job.id)).collect();
        assert_eq!(shown, still, "seed {seed}");
    }
}

#[tokio::test]
async fn jobs_of_one_priority_are_listed_wherever_they_are() {
    let (h, acme) = (Harness::new().await, tenant("acme"));
    let later = h.clock.now() + TimeDelta::seconds(60);
    let mut low = BTreeSet::new();
    for (priority, scheduled_at) in [
        (Priority::Low, None),
        (Priority::High, None),
        (Priority::Low, Some(later)),
        (Priority::Normal, Some(later)),
        (Priority::Low, None),
    ] {
        let options = EnqueueOptions { priority: Some(priority), scheduled_at, ..EnqueueOptions::default() };
        let job = h.job("acme", &Ping { n: 0 }, options);
        h.queue.push(std::slice::from_ref(&job)).await.unwrap();
        if priority == Priority::Low {
            low.insert(job.id);
        }
    }
    let filter = JobFilter { priorities: vec![Priority::Low], ..JobFilter::default() };
    let listed = async |filter: &JobFilter| -> BTreeSet<JobId> {
        let page = h.queue.list(&acme, filter, None, 100).await.unwrap();
        page.jobs.iter().map(|job| job.id).collect()
    };
    assert_eq!(listed(&filter).await, low);
    let both = JobFilter { priorities: vec![Priority::High, Priority::Normal], ..JobFilter::default() };
    assert_eq!(listed(&both).await.len(), 2);
    // A dead letter too.
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Discarded { code: "x", reason: String::new() }).await;
    for (filter, expected) in [(&both, 1), (&filter, 0)] {
        let page = h.queue.kept_page(&acme, Kept::Discarded, filter, None, 10).await.unwrap();
        assert_eq!(page.jobs.len(), expected, "the one of high priority ran first");
    }
}
