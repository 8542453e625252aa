//! Damage to the keys of one tenant: every kind of key in every way, then everything that is done with a queue. A
//! tenant
//! beside it notices nothing, what can run of the damaged one runs, and nothing goes on for ever.

use std::sync::Arc;
use std::time::Duration;

use fair_queue::{
    Claim, Finish, FinishedJob, JobFilter, Kept, NewJob, PartitionId, PartitionShare, RateWindow, Verdict,
};
use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::support::{EnqueueOptions, Harness, Ping, Pong, Unique, skill_of, tenant};

/// A key with something of acme, and which part of it, if others have parts in it as well.
struct Place {
    key: String,
    of_acme: Option<String>,
    /// When there is no such key.
    kind: &'static str,
}

const DAMAGES: [&str; 14] = [
    "missing",
    "another type",
    "a list",
    "empty",
    "binary",
    "two lines",
    "36 with a line end",
    "36 of binary",
    "a number of 300 digits",
    "1e300",
    "nan",
    "-5",
    "another tenant's",
    "a row",
];

struct Scene {
    h: Harness,
    redis: MultiplexedConnection,
    acme: Vec<NewJob>,
    globex: Vec<NewJob>,
    claim: Claim,
}

impl Scene {
    /// Two tenants with jobs in every state.
    async fn new() -> Self {
        let mut h = Harness::new().await;
        h.skills.push(skill_of::<Pong>());
        let share = PartitionShare {
            weight: Some(2),
            cap: Some(5),
            type_caps: [("test.ping".to_owned(), Some(4))].into(),
            backlog_jobs: Some(1_000),
            backlog_bytes: Some(1_000_000),
            ..PartitionShare::default()
        };
        h.queue.partition_set(&tenant("acme"), share).await.unwrap();
        let (acme, globex) = (put_in(&h, "acme").await, put_in(&h, "globex").await);
        let claim = h.fetch(8).await;
        for (at, job) in claim.jobs.iter().enumerate() {
            let first = claim.jobs[..at].iter().all(|other| other.partition != job.partition);
            if first {
                let retry = Verdict::Retry { after: Duration::from_secs(1), error: "x".to_owned() };
                assert!(h.finish(&claim, at, retry).await);
                h.queue
                    .cancel(&tenant(&job.partition), claim.jobs[at + 1].id.parse().unwrap())
                    .await
                    .unwrap();
            }
        }
        for jobs in [&acme, &globex] {
            h.queue.cancel(&jobs[0].partition, jobs[4].id).await.unwrap();
        }
        let redis = h.redis().await;
        Self { h, redis, acme, globex, claim }
    }

    fn places(&self) -> Vec<(&'static str, Place)> {
        let id = |job: usize| Some(self.acme[job].id.to_string());
        let (fence, acme) = (self.claim.fence.to_string(), || Some("acme".to_owned()));
        let running = self.claim.jobs.iter().filter(|job| &*job.partition == "acme").nth(1).unwrap();
        let running = || Some(running.id.to_string());
        let own = |name: &str| format!("t:acme:{name}");
        let all = [
            ("row", "T".to_owned(), acme(), "hash"),
            ("record of a waiting job", "e".to_owned(), id(3), "hash"),
            ("record of a running job", "e".to_owned(), running(), "hash"),
            ("ready index", "r:0".to_owned(), acme(), "zset"),
            ("timer", "w".to_owned(), Some("sacme".to_owned()), "zset"),
            ("lease", "l".to_owned(), Some(fence.clone()), "zset"),
            ("claim", format!("c:{fence}"), None, "string"),
            ("count of a claim", "n".to_owned(), Some(fence), "hash"),
            ("signal", "s".to_owned(), Some("x".to_owned()), "zset"),
            ("batches to remove", "gc".to_owned(), None, "list"),
            ("number of batches", "gn".to_owned(), acme(), "hash"),
            ("list", own("0.1"), None, "list"),
            ("ghosts", own("H"), id(4), "hash"),
            ("running", own("a"), running(), "hash"),
            ("running of a type", own("a:test.ping"), running(), "set"),
            ("to be stopped", own("c"), running(), "hash"),
            ("scheduled", own("s"), id(5), "zset"),
            ("retryable", own("y"), Some("x".to_owned()), "zset"),
            ("parked", own("k"), Some("x".to_owned()), "zset"),
            ("dead letters", own("x"), Some("x".to_owned()), "zset"),
            ("quarantine", own("q"), Some("x".to_owned()), "zset"),
            ("reasons", own("z"), Some("x".to_owned()), "hash"),
            ("members", own("m"), Some("x".to_owned()), "hash"),
            ("unique keys", own("u"), Some("x".to_owned()), "hash"),
            ("key of a job", own("U"), id(6), "hash"),
            ("periods", own("v"), Some("x".to_owned()), "zset"),
            ("settings", own("S"), Some("qj".to_owned()), "hash"),
            ("totals", "o".to_owned(), acme(), "hash"),
            ("finished lately", "f".to_owned(), None, "hash"),
            ("window", own("r"), Some("1800000000".to_owned()), "hash"),
        ];
        let place = |(name, key, of_acme, kind): (_, String, _, _)| {
            (name, Place { key: self.h.key(&key), of_acme, kind })
        };
        all.into_iter().map(place).collect()
    }

    async fn send(&mut self, parts: &[&[u8]]) -> Value {
        let mut command = redis::Cmd::new();
        for part in parts {
            command.arg(*part);
        }
        command.query_async(&mut self.redis).await.unwrap_or(Value::Nil)
    }

    async fn damage(&mut self, Place { key, of_acme, kind }: &Place, how: &str) {
        let key = key.as_bytes();
        let shared = !key.windows(8).any(|part| part == b":t:acme:") && of_acme.is_some();
        match how {
            "missing" => match (kind, of_acme) {
                (&"hash", Some(part)) => self.send(&[b"HDEL", key, part.as_bytes()]).await,
                (&"zset", Some(part)) => self.send(&[b"ZREM", key, part.as_bytes()]).await,
                (&"set", Some(part)) => self.send(&[b"SREM", key, part.as_bytes()]).await,
                _ => self.send(&[b"DEL", key]).await,
            },
            "another type" | "a list" if shared => Value::Nil,
            "another type" if *kind == "string" => self.send(&[b"DEL", key]).await,
            "another type" => self.send(&[b"SET", key, b"garbage"]).await,
            "a list" => {
                self.send(&[b"DEL", key]).await;
                self.send(&[b"RPUSH", key, b"a", b""]).await
            }
            _ => self.write(key, of_acme.as_deref(), kind, &self.value(how)).await,
        };
    }

    fn value(&self, how: &str) -> Vec<u8> {
        match how {
            "binary" => (0..=255).collect(),
            "two lines" => b"a\nb\n9999".to_vec(),
            "36 with a line end" => [&b"x".repeat(20)[..], b"\n", &b"y".repeat(15)].concat(),
            "36 of binary" => vec![0xff; 36],
            "a number of 300 digits" => vec![b'9'; 300],
            "another tenant's" => self.globex[3].id.to_string().into_bytes(),
            "a row" => vec![0x7f; 87],
            "empty" => Vec::new(),
            other => other.as_bytes().to_vec(),
        }
    }

    async fn write(&mut self, key: &[u8], part: Option<&str>, kind: &str, value: &[u8]) -> Value {
        let part = part.unwrap_or("x").as_bytes();
        match kind {
            "hash" if key.ends_with(b"H") || key.ends_with(b":a") => {
                self.send(&[b"HSET", key, value, value]).await;
                self.send(&[b"HSET", key, part, value]).await
            }
            "hash" => self.send(&[b"HSET", key, part, value]).await,
            "zset" => {
                self.send(&[b"ZADD", key, b"1", value]).await;
                self.send(&[b"ZADD", key, b"1800000060000", &[b"z", value].concat()]).await
            }
            "set" => self.send(&[b"SADD", key, value]).await,
            "list" => {
                self.send(&[b"LPUSH", key, value]).await;
                self.send(&[b"RPUSH", key, value]).await
            }
            _ => self.send(&[b"SET", key, value]).await,
        }
    }

    /// Everything that is done with a queue, until nothing is left.
    async fn run(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let queue = self.h.queue.clone();
        let tenants = [tenant("acme"), tenant("globex")];
        let more: Vec<_> = tenants.iter().map(|tenant| self.h.ping(tenant.as_str())).collect();
        queue.push_accepted(&more).await?;
        let charges: [(Arc<str>, i64); 2] = tenants.clone().map(|tenant| (tenant.as_str().into(), 5));
        queue.renew_charged(0, &[self.claim.fence], &charges).await?;
        let half: Vec<_> = self.claim.jobs.iter().skip(3).collect();
        let ends = half.iter().map(|job| FinishedJob::new(job, self.claim.fence, Verdict::Completed));
        queue.finish(&ends.collect::<Vec<_>>()).await?;
        for _ in 0..6 {
            self.h.clock.advance(self.h.config.lease + Duration::from_secs(1));
            for _ in 0..5 {
                queue.reap(0, 2).await?;
            }
            for _ in 0..5 {
                queue.sweep(0, 200).await?;
            }
            queue.heal(0, "0", 50).await?;
            queue.newcomers(0, &self.h.skills).await?;
            for tenant in &tenants {
                look(&queue, tenant, more[0].id).await?;
            }
            loop {
                let claim = self.h.fetch(20).await;
                if claim.jobs.is_empty() {
                    break;
                }
                let ends: Vec<_> = claim.jobs.iter().map(|job| end(job, claim.fence)).collect();
                queue.finish(&ends).await?;
            }
        }
        Ok(())
    }
}

/// Ends a job as a worker does: a damaged record is quarantined.
fn end(job: &fair_queue::ClaimedJob, fence: u64) -> FinishedJob {
    let tenant = format!("\n{}\n", job.partition);
    let good = job.record.as_ref().is_some_and(|record| String::from_utf8_lossy(record).contains(&tenant));
    let damaged = || Verdict::Quarantined { code: "record_damaged", reason: String::new() };
    let verdict = if good { Verdict::Completed } else { damaged() };
    FinishedJob::new(job, fence, Finish::from(verdict))
}

async fn put_in(h: &Harness, name: &str) -> Vec<NewJob> {
    let later = h.clock_now() + Duration::from_secs(3);
    let mut jobs: Vec<_> = (0..5).map(|_| h.ping(name)).collect();
    let at = |scheduled_at| EnqueueOptions { scheduled_at, ..EnqueueOptions::default() };
    jobs.push(h.job(name, &Ping::default(), at(Some(later))));
    let unique = EnqueueOptions { unique: Some(Unique::args()), ..EnqueueOptions::default() };
    jobs.push(h.job(name, &Ping { n: 7 }, unique));
    jobs.push(h.job(name, &Pong::default(), EnqueueOptions::default()));
    h.push(&jobs).await;
    let (members, group) = h.group(&jobs[0], 2);
    h.queue.push_group(&group, &members).await.unwrap();
    jobs
}

async fn look(
    queue: &fair_queue::Queue,
    tenant: &PartitionId,
    id: fair_queue::JobId,
) -> Result<(), fair_queue::QueueError> {
    queue.stats(tenant).await?;
    queue.explain(tenant, id).await?;
    queue.list(tenant, &JobFilter::default(), None, 10).await?;
    queue.kept(tenant, Kept::Quarantined, 10).await?;
    queue.kept(tenant, Kept::Discarded, 10).await?;
    queue.room(tenant, "test", 1, 10, 1).await?;
    let window = RateWindow { limit: 1_000, window_s: 60, now_s: 1_800_000_000 };
    queue.admit(tenant, window, 1, Some("test")).await?;
    Ok(())
}

/// What globex has when nothing is damaged: everything has ended, two of its jobs cancelled.
async fn expect_undisturbed(scene: &Scene, what: &str) {
    let counts = scene.h.queue.stats(&tenant("globex")).await.unwrap();
    assert_eq!(
        (counts.open(), counts.quarantined, counts.discarded),
        (0, 0, 0),
        "globex: {what}: {counts:?}"
    );
    assert_eq!(counts.completed_total + counts.cancelled_total, 12, "globex: {what}: {counts:?}");
    let counts = scene.h.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!(counts.open(), 0, "acme: {what}: {counts:?}");
}

#[tokio::test]
async fn damage_to_a_tenant_is_no_other_tenants() {
    let places = Scene::new().await.places().len();
    for place in 0..places {
        for how in DAMAGES {
            let mut scene = Scene::new().await;
            let (name, place) = scene.places().swap_remove(place);
            let what = format!("{name}: {how}");
            scene.damage(&place, how).await;
            scene.run().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            expect_undisturbed(&scene, &what).await;
        }
    }
}

/// Entries that are no tenants delay no tenant, however many there are.
#[tokio::test]
async fn entries_that_are_no_tenants_delay_none() {
    let h = Harness::new().await;
    h.push(&[h.ping("acme")]).await;
    let mut redis = h.redis().await;
    for n in 0..150 {
        for name in [format!("stray-{n}"), format!("two\nlines {n}")] {
            let mut pipe = redis::pipe();
            pipe.cmd("ZADD").arg(h.key("r:0")).arg(-1).arg(&name).ignore();
            pipe.cmd("ZADD").arg(h.key("w")).arg(1).arg(format!("s{name}")).ignore();
            pipe.query_async::<()>(&mut redis).await.unwrap();
        }
    }
    let mut found = 0;
    for _ in 0..60 {
        found += h.fetch(10).await.jobs.len();
    }
    assert_eq!(found, 1);
    let left: Vec<String> =
        redis::cmd("ZRANGE").arg(h.key("r:0")).arg(0).arg(-1).query_async(&mut redis).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// A tenant whose row was deleted runs all the same, with its settings.
#[tokio::test]
async fn a_row_that_was_deleted_is_made_again() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    h.queue.partition_set(&acme, PartitionShare { cap: Some(2), ..PartitionShare::default() }).await.unwrap();
    h.push(&(0..4).map(|_| h.ping("acme")).collect::<Vec<_>>()).await;
    let mut redis = h.redis().await;
    let mut delete = redis::pipe();
    delete.cmd("DEL").arg(h.key("T")).ignore().cmd("DEL").arg(h.key("r:0")).ignore();
    delete.query_async::<()>(&mut redis).await.unwrap();
    h.push(&[h.ping("acme")]).await;
    assert_eq!(h.fetch(10).await.jobs.len(), 2);
    assert_eq!(h.queue.stats(&acme).await.unwrap().available, 3);
}
