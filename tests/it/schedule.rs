//! Schedules: kept in the catalog, fired once however many look, for the tenant that made them.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use jobs::clock::{Clock, ManualClock, SharedClock};
use jobs::envelope::{StampKeys, Stamper, Verifier};
use reqwest::Method;
use serde_json::json;
use tests::bed::{Answer, send};
use tests::bed::{Bed, TestTenant};
use worker::schedule::Scheduler;

fn noon() -> ManualClock {
    ManualClock::at(DateTime::parse_from_rfc3339("2026-01-15T12:00:00Z").unwrap().to_utc())
}

async fn nightly(tenant: &TestTenant, cron: &str) -> Answer {
    let body = json!({ "cron": cron, "time_zone": "Europe/Berlin", "type": "kb.reindex" });
    send(tenant.http.request(Method::PUT, &tenant.kb("schedules/nightly")).json(&body)).await
}

fn scheduler(bed: &Bed, clock: &SharedClock) -> Scheduler {
    let keys = StampKeys::parse(&bed.secrets().stamp_keys).unwrap();
    Scheduler {
        schedules: Arc::clone(&bed.opened().schedules),
        verifier: Verifier::new(keys.clone(), Arc::clone(&bed.opened().directory) as _, Arc::clone(clock)),
        stamper: Stamper::new(keys, Arc::clone(clock)),
        registry: Arc::new(ingest::registry()),
        stores: bed.stores().clone(),
        plans: Arc::default(),
        clock: Arc::clone(clock),
    }
}

/// Waits until the outbox is empty, which takes up to a second: to the relay, a row is old once the clock has jumped.
async fn delivered(bed: &Bed) {
    tests::wait::wait_for("the outbox to be empty", async || {
        let later = bed.now() + chrono::Days::new(1);
        let rows = bed.opened().outbox.outbox_due(later, Duration::ZERO, None, 10).await;
        let rows = rows.map_err(|error| error.to_string())?;
        if rows.is_empty() { Ok(()) } else { Err(format!("{} rows", rows.len())) }
    })
    .await;
}

#[tokio::test]
async fn a_nightly_reindex_fires_once_however_many_look() {
    let clock = noon();
    let bed = Bed::embedded_at(Arc::new(clock.clone())).await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &tests::texts::short("Bluebird")).await;
    assert_eq!(nightly(&acme, "0 3 * * *").await.status, 200);
    let shown = acme.http.get(&acme.kb("schedules")).await.body;
    assert_eq!(shown["schedules"][0]["next_fire_at"], "2026-01-16T02:00:00Z", "{shown}");

    let shared: SharedClock = Arc::new(clock.clone());
    assert_eq!(scheduler(&bed, &shared).fire_due().await.unwrap(), 0, "nothing is due at noon");
    delivered(&bed).await;
    clock.advance(Duration::from_secs(15 * 3600));
    // The bed's own scheduler and the outbox relay are looking as well.
    for _ in 0..4 {
        let [one, two] = [scheduler(&bed, &shared), scheduler(&bed, &shared)];
        let (one, two) = tokio::join!(one.fire_due(), two.fire_due());
        assert!(one.unwrap() + two.unwrap() <= 1);
    }
    let tenant = acme.id.parse().unwrap();
    tests::wait::wait_for("the reindex to be done", async || {
        // The relay leaves young rows alone, so the clock has to move.
        clock.advance(Duration::from_secs(5));
        let stats = bed.queue().stats(&tenant).await.map_err(|error| error.to_string())?;
        // provision, three for the document, one reindex, three for the document again
        if stats.completed_total >= 8 && stats.open() == 0 { Ok(()) } else { Err(format!("{stats:?}")) }
    })
    .await;
    assert_eq!(bed.queue().stats(&tenant).await.unwrap().completed_total, 8);
    let shown = acme.http.get(&acme.kb("schedules")).await.body;
    assert_eq!(shown["schedules"][0]["next_fire_at"], "2026-01-17T02:00:00Z", "{shown}");
    assert!(clock.now() > noon().now());
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_field() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    for bad in ["", "every night", "* * * * * *", "0 0 30 2 *"] {
        let answer = nightly(&acme, bad).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
        assert!(answer.body["code"].as_str().is_some_and(|code| code.starts_with("invalid_")), "{answer:?}");
    }
    assert_eq!(acme.http.get(&acme.kb("schedules")).await.body["schedules"], json!([]));
}

/// A paused schedule is not due; one that is run by hand fires as the schedule, and both go on as usual afterwards.
#[tokio::test]
async fn a_paused_schedule_does_not_fire_and_one_that_is_run_by_hand_does() {
    let clock = noon();
    let bed = Bed::embedded_at(Arc::new(clock.clone())).await;
    let (acme, twin) = bed.look_alikes().await;
    for tenant in [&acme, &twin] {
        assert_eq!(nightly(tenant, "0 3 * * *").await.status, 200);
    }
    let ask =
        async |what: &str| acme.http.post(&acme.kb(&format!("schedules/nightly/{what}")), &json!({})).await;
    assert_eq!(ask("pause").await.status, 200);
    clock.advance(Duration::from_secs(15 * 3600));
    let due = bed.opened().schedules.schedules_due(clock.now(), 100).await.unwrap();
    assert!(due.iter().all(|due| due.tenant_id.as_str() != acme.id), "{due:?}");
    // The look-alike's fires.
    tests::wait::wait_for("the other schedule to fire", async || {
        let shown = twin.http.get(&twin.kb("schedules/nightly")).await.body;
        if shown["last_fire_at"].is_null() { Err(shown) } else { Ok(()) }
    })
    .await;
    let shown = acme.http.get(&acme.kb("schedules/nightly")).await.body;
    assert_eq!((&shown["last_fire_at"], &shown["paused"]), (&json!(null), &json!(true)));

    let run = ask("run").await;
    assert_eq!(run.status, 202, "{run:?}");
    let job = run.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    let resumed = ask("resume").await.body;
    assert_eq!(resumed["next_fire_at"], "2026-01-17T02:00:00Z", "{resumed}");
    clock.advance(Duration::from_secs(24 * 3600));
    tests::wait::wait_for("the schedule to fire", async || {
        let shown = acme.http.get(&acme.kb("schedules/nightly")).await.body;
        if shown["last_fire_at"] == "2026-01-17T02:00:00Z" { Ok(()) } else { Err(shown) }
    })
    .await;
}
