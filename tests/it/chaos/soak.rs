//! Steady work for a long time: memory, handles and connections stay as they are.

use std::fs;
use std::time::{Duration, Instant};

use jobs::DocumentId;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use serde_json::json;
use stores::direct::DirectPostgres;
use tests::bed::TestTenant;
use tests::texts;
use tests::wait::wait_for;

use super::site::{Site, all_processed, statuses, upload};

/// Documents of a tenant in one round.
const DOCUMENTS: usize = 12;
/// How long a round takes at least: steady work, not as much as there can be.
const ROUND: Duration = Duration::from_secs(5);
/// How much more of anything there may be in the last third than in the second: measuring itself is not exact.
const GROWTH: f64 = 1.10;

/// One look at everything.
#[derive(Debug, Clone)]
struct Sample {
    minute: u64,
    /// Each with its name: MiB, or a number.
    values: Vec<(String, f64)>,
}

fn minutes() -> u64 {
    std::env::var("SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(60)
}

/// MiB of memory and open handles of a process.
fn process(name: &str, pid: u32) -> [(String, f64); 2] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kilobytes: f64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    let handles = fs::read_dir(format!("/proc/{pid}/fd")).expect("its handles can be listed").count();
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let handles = handles as f64;
    [(format!("{name}: MiB"), kilobytes / 1024.0), (format!("{name}: handles"), handles)]
}

async fn redis_values(redis: &mut MultiplexedConnection) -> [(String, f64); 2] {
    let said: String = redis::cmd("INFO").query_async(redis).await.expect("Redis answers");
    let value = |name: &str| -> f64 {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).expect("Redis says it");
        line.trim_start_matches(':').trim().parse().expect("a number")
    };
    [
        ("Redis: MiB".to_owned(), value("used_memory") / 1024.0 / 1024.0),
        ("Redis: clients".to_owned(), value("connected_clients")),
    ]
}

/// One round of a tenant: documents come, are replaced, and go.
async fn round(tenant: &TestTenant, number: u64) {
    let names = || (0..DOCUMENTS).map(|document| format!("{document}.md"));
    for version in ["Bluebird", "Nightjar"] {
        upload(tenant, names(), &format!("{}\nRound {number}.", texts::short(version))).await;
        all_processed(tenant, DOCUMENTS).await;
    }
    let ids: Vec<_> = names().map(|name| DocumentId::of_name(&name)).collect();
    let request =
        tenant.http.request(Method::POST, &tenant.kb("documents/delete")).json(&json!({ "ids": ids }));
    assert_eq!(tests::bed::send(request).await.status, 202);
    wait_for("the documents to be gone", async || {
        let found = statuses(tenant).await;
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make soak"]
async fn nothing_grows() {
    let site = Site::open().await;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(site.worker_as(|spec| spec.concurrency = 4).await.1);
    }
    let (acme, twin) = site.bed.look_alikes().await;
    let client = redis::Client::open(site.redis.as_ref().expect("one server").url()).expect("it is a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let postgres = DirectPostgres::connect(site.postgres_admin()).await.expect("PostgreSQL answers");
    let (begun, mut samples, mut rounds) = (Instant::now(), Vec::<Sample>::new(), 0);
    while begun.elapsed() < Duration::from_secs(minutes() * 60) {
        tokio::join!(tokio::time::sleep(ROUND), round(&acme, rounds), round(&twin, rounds));
        rounds += 1;
        let minute = begun.elapsed().as_secs() / 60;
        if samples.last().is_none_or(|last| last.minute < minute) {
            let mut values = process("API", std::process::id()).to_vec();
            for (number, worker) in workers.iter().enumerate() {
                values.extend(process(&format!("worker {number}"), worker.id()));
            }
            values.extend(redis_values(&mut redis).await);
            let counted = "select count(*) as count from pg_stat_activity where datname = current_database()";
            let rows = postgres.rows("select", counted).await.expect("PostgreSQL answers");
            values.push(("PostgreSQL: connections".to_owned(), rows[0]["count"].as_f64().expect("a number")));
            eprintln!("{minute} min, {rounds} rounds: {values:.1?}");
            samples.push(Sample { minute, values });
        }
    }
    compare(&samples, rounds);
}

/// Prints the table of `tests/README.md`: the median of each third; and checks that the last is as the second.
fn compare(samples: &[Sample], rounds: u64) {
    assert!(samples.len() >= 6, "too short to tell: {} samples", samples.len());
    let thirds: Vec<&[Sample]> = samples.chunks(samples.len().div_ceil(3)).collect();
    eprintln!("{} documents in {} min", rounds * 2 * 2 * DOCUMENTS as u64, samples.last().unwrap().minute);
    let mut grown = Vec::new();
    for (at, (name, _)) in samples[0].values.iter().enumerate() {
        let median = |third: &[Sample]| {
            let mut values: Vec<f64> = third.iter().map(|sample| sample.values[at].1).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let [first, second, last] = [median(thirds[0]), median(thirds[1]), median(thirds[2])];
        eprintln!("| {name} | {first:.1} | {second:.1} | {last:.1} |");
        if last > second * GROWTH {
            grown.push(name);
        }
    }
    assert!(grown.is_empty(), "{grown:?} grew");
}
