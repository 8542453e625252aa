//! Load while something is wrong with a worker, Redis or a store, and what users see of it: what is refused, how long
//! it takes afterwards until everything that was accepted is done.
//!
//! Each fault lasts two seconds, or `CHAOS_SECONDS`, with which `make chaos` makes the table in `tests/README.md`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tests::bed::{TestTenant, send};
use tests::reasons::has_a_reason;
use tests::texts;
use tests::wait::wait_for;

use super::crash_points::{CrashPoint, Fate};
use super::proxy::Manner;
use super::site::{Proxies, Site, statuses};
use super::worker_process::WorkerProcess;

/// How long a fault lasts.
fn duration() -> Duration {
    let seconds = std::env::var("CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// How long users wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many users upload at the same time, each one document after the other.
const USERS: usize = 3;
/// How many documents each of them uploads at most, spread over the fault: what is accepted has to be done in the time
/// that a test waits, however long the fault and however slow the machine is.
const UPLOADS: u32 = 12;

/// How many jobs of the tenant may run at once.
pub(super) const CAP: usize = 3;

/// What users saw.
#[derive(Default)]
struct Seen {
    accepted: Vec<String>,
    /// Answers other than 202, by their status; 0 is none at all.
    refused: BTreeMap<u16, usize>,
    slowest: Duration,
}

/// One user, who uploads until `until`.
async fn user(tenant: &TestTenant, prefix: &str, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let pause = duration() / UPLOADS;
    for upload in 0.. {
        if Instant::now() >= until {
            break;
        }
        let name = format!("{prefix}-{upload}.md");
        let body = json!({ "name": name, "text": texts::short("Bluebird") + &name });
        let request = tenant.http.request(Method::POST, &tenant.kb("documents/text")).json(&body);
        let (begun, sent) = (Instant::now(), request.timeout(PATIENCE).send().await);
        seen.slowest = seen.slowest.max(begun.elapsed());
        match sent {
            Ok(answer) if answer.status() == 202 => {
                seen.accepted.push(name);
                tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
                *seen.refused.entry(status).or_default() += 1;
                tokio::time::sleep(pause).await;
            }
            Err(_) => *seen.refused.entry(0).or_default() += 1,
        }
    }
    seen
}

/// Checks that documents which have not ended say what they wait for, as far as the API answers.
async fn assert_reasons(fault: &str, tenant: &TestTenant) {
    for status in ["pending", "processing", "failed"] {
        let listed = tenant.http.get(&tenant.kb(&format!("documents?status={status}&limit=10"))).await;
        for listed in listed.body["documents"].as_array().unwrap_or(&Vec::new()) {
            let id = listed["id"].as_str().unwrap_or_default();
            let shown = tenant.http.get(&tenant.kb(&format!("documents/{id}"))).await;
            assert!(shown.status != 200 || has_a_reason(&shown.body), "{fault}: {shown:?}");
        }
    }
}

/// Load during a fault that begins with `begin` and ends with `end`. Afterwards everything that was accepted is done,
/// and nothing else.
pub(super) async fn under_load(
    site: &Site,
    fault: &str,
    tenant: &TestTenant,
    (begin, end): (impl FnOnce(), impl AsyncFnOnce()),
) {
    let before = statuses(tenant).await.values().sum::<usize>();
    begin();
    let until = Instant::now() + duration();
    let prefixes: Vec<_> = (0..USERS).map(|number| format!("{before}-{number}")).collect();
    let users = prefixes.iter().map(|prefix| user(tenant, prefix, until));
    let fault_ends = async {
        tokio::time::sleep_until(until.into()).await;
        assert_reasons(fault, tenant).await;
        end().await;
        let ended_at = Instant::now();
        assert_reasons(fault, tenant).await;
        ended_at
    };
    let (seen, ended_at) = tokio::join!(futures::future::join_all(users), fault_ends);
    let accepted: usize = seen.iter().map(|seen| seen.accepted.len()).sum();
    let mut refused = BTreeMap::new();
    for (status, count) in seen.iter().flat_map(|seen| &seen.refused) {
        *refused.entry(*status).or_insert(0) += count;
        assert!([0, 503].contains(status), "{fault}: {refused:?}");
    }
    let all = wait_for("everything that was accepted to be done", async || {
        let found = statuses(tenant).await;
        let done = found.get("processed").copied().unwrap_or_default();
        // An upload without an answer may have been accepted.
        let unanswered = refused.get(&0).copied().unwrap_or_default();
        let is_done =
            found.len() <= 1 && (before + accepted..=before + accepted + unanswered).contains(&done);
        if is_done { Ok(done) } else { Err((before, accepted, found)) }
    })
    .await;
    let recovery = ended_at.elapsed();
    for seen in &seen {
        for name in &seen.accepted {
            assert_eq!(tenant.document(name).await.body["status"], "processed", "{fault}: {name}");
        }
    }
    let slowest = seen.iter().map(|seen| seen.slowest).max().unwrap_or_default();
    eprintln!(
        "| {fault} | {accepted} accepted, refused {refused:?}, slowest answer {slowest:.1?} | {recovery:.1?} | {all}"
    );
    site.bed.run_until_empty(tenant).await;
}

/// A system with two workers, and a tenant.
async fn working() -> (Site, TestTenant, Vec<WorkerProcess>) {
    working_on(Site::open().await).await
}

/// The same on this system.
pub(super) async fn working_on(site: Site) -> (Site, TestTenant, Vec<WorkerProcess>) {
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(another(&site).await);
    }
    let (tenant, _) = site.bed.look_alikes().await;
    let path = format!("/api/v1/tenants/{}", tenant.id);
    let limits = site.bed.operator().request(Method::PATCH, &path).json(&json!({ "limits": { "cap": CAP } }));
    assert_eq!(send(limits).await.status, 200);
    (site, tenant, workers)
}

async fn another(site: &Site) -> WorkerProcess {
    let (_, worker) = site
        .worker_as(|spec| {
            spec.concurrency = 4;
            spec.lease_s = 2;
        })
        .await;
    worker
}

/// No job was given up, and no more ran at once than the tenant may have.
async fn assert_kept(site: &Site, tenant: &TestTenant) {
    site.assert_at_once(tenant, CAP);
    assert_none_given_up(site, tenant).await;
}

pub(super) async fn assert_none_given_up(site: &Site, tenant: &TestTenant) {
    let stats = site.bed.queue().stats(&tenant.id.parse().unwrap()).await.unwrap();
    assert_eq!((stats.discarded, stats.quarantined), (0, 0), "{stats:?}");
}

/// Lets the proxy in front of a server misbehave in one manner after the other.
async fn server_misbehaves(what: &str, manners: &[Manner], pick: impl Fn(&Proxies) -> &super::proxy::Proxy) {
    let (site, tenant, _workers) = working().await;
    for manner in manners {
        let begin = || pick(&site.proxies).behave(*manner);
        let end = async || pick(&site.proxies).behave(Manner::Passes);
        under_load(&site, &format!("{what}: {manner:?}"), &tenant, (begin, end)).await;
    }
    assert_kept(&site, &tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_refuses_hangs_dawdles_or_loses_answers() {
    let slow = Manner::Dawdles(Duration::from_millis(50));
    let manners = [Manner::Refuses, Manner::Hangs, slow, Manner::LosesAnswers, Manner::BreaksOff];
    server_misbehaves("Redis", &manners, |proxies| &proxies.redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_refuses_hangs_dawdles_or_loses_answers() {
    let slow = Manner::Dawdles(Duration::from_millis(50));
    let manners = [Manner::Refuses, Manner::Hangs, slow, Manner::LosesAnswers, Manner::BreaksOff];
    server_misbehaves("PostgreSQL", &manners, |proxies| &proxies.postgres).await;
}

/// Only with all servers, in the long form.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "make chaos"]
async fn mongo_and_neo4j_refuse_hang_dawdle_or_lose_answers() {
    assert_eq!(std::env::var("CHAOS_STORES").as_deref(), Ok("all"), "run `make chaos`");
    let slow = Manner::Dawdles(Duration::from_millis(50));
    let manners = [Manner::Refuses, Manner::Hangs, slow, Manner::LosesAnswers, Manner::BreaksOff];
    server_misbehaves("MongoDB", &manners, |proxies| &proxies.mongo).await;
    server_misbehaves("Neo4j", &manners, |proxies| &proxies.neo4j).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarts() {
    let (mut site, tenant, _workers) = working().await;
    let mut redis = site.redis.take().unwrap();
    redis.stop().unwrap();
    under_load(&site, "Redis is down", &tenant, (|| {}, async || redis.resume().unwrap())).await;
    assert_kept(&site, &tenant).await;
    site.redis = Some(redis);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_killed_and_replaced() {
    let (site, tenant, mut workers) = working().await;
    for _ in 0..2 {
        workers.remove(0).signal(Signal::KILL);
        workers.push(another(&site).await);
        under_load(&site, "a worker is killed, another one started", &tenant, (|| {}, async || {})).await;
    }
    assert_kept(&site, &tenant).await;
}

/// One worker after the other is asked to stop, and another one started.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_interrupts_nothing() {
    let (site, tenant, workers) = working().await;
    let deployed = async || {
        for worker in workers {
            worker.stop().await;
        }
    };
    let _newer = [another(&site).await, another(&site).await];
    under_load(&site, "a deployment", &tenant, (|| {}, deployed)).await;
    assert_kept(&site, &tenant).await;
    for (job, attempts) in site.attempts() {
        assert!(attempts.iter().all(|(_, number)| *number == 1), "{job}: {attempts:?}");
    }
}

/// One worker's clock is an hour ahead, or behind: its leases are those of Redis' clock, and when it dies its jobs come
/// back as soon as those of any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_delays_nothing() {
    for hours in [-1, 1] {
        let site = Site::open().await;
        let (_, helper) = site.worker(&["tenant.provision"]).await;
        let (tenant, _) = site.bed.look_alikes().await;
        helper.stop().await;
        assert_eq!(tenant.upload("heron.md", &texts::short("Bluebird")).await.status, 202);
        let (_, wrong) = site
            .worker_as(|spec| {
                spec.kinds = vec!["document.ingest".to_owned()];
                let operation = "documents.staged_put".to_owned();
                spec.point = Some(CrashPoint { operation, fate: Fate::Killed });
                spec.ahead_s = TimeDelta::hours(hours).num_seconds();
                spec.lease_s = 2;
            })
            .await;
        let (died, _right) = (Instant::now(), another(&site).await);
        assert_eq!(tenant.settled("heron.md").await["status"], "processed");
        eprintln!(
            "| a worker whose clock is {hours:+} h off dies | its job is done after {:.1?}",
            died.elapsed()
        );
        drop(wrong);
        site.assert_all_is_well(&[&tenant]).await;
    }
}

/// A worker stops for longer than its lease, in the middle of a job, and goes on: another worker has done the job
/// meanwhile, and nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_freezes_past_its_lease_changes_nothing_afterwards() {
    let site = Site::open().await;
    let (_, helper) = site.worker(&["tenant.provision"]).await;
    let (tenant, twin) = site.bed.look_alikes().await;
    helper.stop().await;
    for kind in ["document.ingest", "entities.extract", "graph.build"] {
        let name = format!("{kind}.md");
        assert_eq!(tenant.upload(&name, &texts::short("Bluebird")).await.status, 202);
        let (before, operation) = match kind {
            "document.ingest" => (None, "documents.staged_put"),
            "entities.extract" => (Some(vec!["document.ingest"]), "documents.extractions_put"),
            _ => (Some(vec!["document.ingest", "entities.extract"]), "index.graph_replace"),
        };
        if let Some(kinds) = before {
            let (_, worker) = site.worker(&kinds).await;
            for kind in kinds {
                site.until_none_waits(&tenant, kind).await;
            }
            worker.stop().await;
        }
        let (frozen_name, frozen) = site.doomed(kind, operation, Fate::Stopped).await;
        let worker = another(&site).await;
        let begun = Instant::now();
        assert_eq!(tenant.settled(&name).await["status"], "processed");
        eprintln!("| a worker freezes in {kind} | its job is done after {:.1?}", begun.elapsed());
        frozen.signal(Signal::CONT);
        wait_for("the frozen worker to end its job", async || {
            let said = site.ledgers.of(&frozen_name);
            let ended = said.iter().any(|entry| matches!(entry, super::ledger::Entry::Ended { .. }));
            if ended { Ok(()) } else { Err(said) }
        })
        .await;
        frozen.stop().await;
        worker.stop().await;
    }
    let worker = another(&site).await;
    for kind in ["document.ingest", "entities.extract", "graph.build"] {
        twin.ingest(&format!("{kind}.md"), &texts::short("Bluebird")).await;
    }
    assert_kept(&site, &tenant).await;
    worker.stop().await;
    let (left, right) = (
        tests::bed::Snapshot::of(site.bed.stores(), &tenant.id).await,
        tests::bed::Snapshot::of(site.bed.stores(), &twin.id).await,
    );
    assert_eq!(left, right);
}
