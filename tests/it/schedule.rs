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
