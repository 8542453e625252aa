//! Changes to many things at once: counted first, done once, with a reason.

use std::collections::BTreeSet;

use serde_json::json;
use tests::bed::Bed;
use tests::cli::Cli;
use tests::texts;
use tests::wait::wait_for;

use super::stub::Stub;
use super::{dead_letter, member, operator, scheduled_job, waiting_job};

#[tokio::test]
async fn jobs_are_cancelled_by_name_by_filter_and_all_at_once() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let others = waiting_job(&twin).await;
    let first = waiting_job(&acme).await;
    let named = cli.json(&["jobs", "cancel", &first, "--yes"]).await;
    assert_eq!((&named[0]["job_id"], &named[0]["outcome"]), (&json!(first), &json!("cancelled")));
    let second = waiting_job(&acme).await;
    let ran =
        cli.run(&["jobs", "cancel", "--type", "kb.reindex", "--created-before", "2h", "--yes"]).await.done();
    assert_eq!(ran.out, "0 cancelled, 0 stopping\n", "it was made a moment ago");
    let ran =
        cli.run(&["jobs", "cancel", "--type", "kb.reindex", "--state", "available", "--yes"]).await.done();
    assert_eq!(ran.out, "1 cancelled, 0 stopping\n");
    assert_eq!(cli.json(&["jobs", "show", &second]).await["state"], "cancelled");
    waiting_job(&acme).await;
    let all = cli.json(&["jobs", "cancel", "--all", "--yes"]).await;
    assert_eq!((&all["cancelled"], &all["stopping"]), (&json!(1), &json!(0)));
    assert_eq!(cli.json(&["jobs", "list"]).await, json!([]));
    assert_eq!(member(&bed, &twin).json(&["jobs", "show", &others]).await["state"], "available");
}

#[tokio::test]
async fn a_job_that_waits_for_its_time_gets_another() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let job = scheduled_job(&bed, &acme).await;
    let at = "2099-01-01T00:00:00Z";
    cli.run(&["jobs", "reschedule", &job, "--at", at]).await.refused(4, &["366 days"]);
    let ran = cli.run(&["jobs", "reschedule", &job, "--in", "2h", "--reason", "too early"]).await.done();
    assert!(ran.out.starts_with(&format!("{job} may start at 20")), "{}", ran.out);
    let shown = cli.json(&["jobs", "show", &job]).await;
    let until = shown["scheduled_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let ahead = (until - bed.now()).num_minutes();
    assert!((115..=120).contains(&ahead), "{shown}");
    let done = cli.json(&["jobs", "reschedule", &job, "--at", "2020-01-01T00:00:00Z"]).await;
    assert_eq!((&done["outcome"], &done["job_id"]), (&json!("rescheduled"), &json!(job)));
    bed.ended(&acme, job.parse().unwrap()).await;

    // What waits for no time says so, also to scripts.
    let sent = acme.upload("heron.md", &texts::short("Heron")).await;
    let ended = sent.body["job_id"].as_str().unwrap().to_owned();
    bed.ended(&acme, ended.parse().unwrap()).await;
    let ran = cli.run(&["jobs", "reschedule", &ended, "--in", "0s", "--output", "json"]).await;
    ran.refused(1, &["has ended", "nothing was changed"]);
    let waits = waiting_job(&acme).await;
    cli.run(&["jobs", "reschedule", &waits, "--in", "1d"]).await.refused(1, &["waits for no time"]);
    let others = scheduled_job(&bed, &twin).await;
    cli.run(&["jobs", "reschedule", &others, "--in", "1d"]).await.refused(3, &["not_found"]);
    for flags in [&[][..], &["--in", "2 hours"], &["--in", "1h", "--at", at], &["--at", "tomorrow"]] {
        cli.run(&[&["jobs", "reschedule", &job], flags].concat()).await.refused(2, &[]);
    }
    let logged = cli.json(&["audit", "list", "--action", "reschedule_one"]).await;
    assert!(logged.as_array().unwrap().iter().any(|entry| entry["reason"] == "too early"), "{logged}");
}

#[tokio::test]
async fn dead_letters_start_again_or_are_thrown_away() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let first = dead_letter(&acme, "a.html").await;
    let second = dead_letter(&acme, "b.html").await;
    let shown = cli.json(&["dead-letters", "show", &first]).await;
    assert_eq!(shown["job"]["args"][0]["revision"], 1, "{shown}");
    let _ = cli.run(&["queues", "pause", "--yes"]).await.done();
    let ran = cli.run(&["dead-letters", "retry", &first]).await.done();
    assert_eq!(ran.out, "started 1 job again\n");
    assert_eq!(cli.json(&["jobs", "show", &first]).await["redriven"]["times"], 1);
    let other = cli.run(&["dead-letters", "retry", "--reason-code", "other", "--yes"]).await.done();
    assert!(other.out.starts_with("started 0 again"), "{other:?}");
    let ran = cli.run(&["dead-letters", "purge", "--type", "document.ingest", "--yes"]).await.done();
    assert_eq!(ran.out, "threw away 1\n");
    cli.run(&["dead-letters", "show", &second]).await.refused(3, &["not_found"]);
    assert_eq!(cli.json(&["dead-letters", "list", "--quarantine"]).await, json!([]));
}

#[tokio::test]
async fn a_queue_of_all_tenants_is_paused_by_the_operator() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = operator(&bed);
    let flow = cli.json(&["queues", "pause", "maintenance", "--all-tenants", "--yes"]).await;
    assert_eq!((&flow["tenant"], &flow["flow"]), (&json!(null), &json!("paused")));
    let answer = acme.http.post(&acme.kb("reindex"), &json!({})).await;
    let job = answer.body["job_id"].as_str().unwrap();
    let said = member(&bed, &acme).run(&["jobs", "explain", job]).await.done().out;
    assert!(said.contains("`tenantry queues resume maintenance --all-tenants`"), "{said}");
    let _ = cli.run(&["queues", "resume", "maintenance", "--all-tenants"]).await.done();
    assert_eq!(member(&bed, &acme).run(&["jobs", "tail", job]).await.done().code, 0);
}

#[tokio::test]
async fn the_reason_reaches_the_audit_log_in_any_letters() {
    let api = Stub::start("200 OK", r#"{"applied":true,"flow":"open"}"#).await;
    let cli = Cli::new(&api.url, "tk_acme_id_secret");
    let reason = "falscher Ordner: \u{e4}\u{1f980}";
    let _ = cli.run(&["queues", "resume", "documents", "--reason", reason]).await.done();
    let request = api.requests().concat();
    assert!(request.starts_with("post /api/v1/tenants/acme/queues/documents/resume "), "{request}");
    assert!(request.contains("\r\naudit-reason: falscher%20ordner%3a%20%c3%a4%f0%9f%a6%80\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: bearer tk_acme_id_secret\r\n"), "{request}");
}

#[tokio::test]
async fn a_key_is_made_shown_once_rotated_and_revoked() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let made =
        cli.json(&["keys", "create", "importer", "--permission", "document:create,document:read"]).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    assert_eq!(made["permissions"], json!(["document:create", "document:read"]));
    let with = |key: &str| Cli::new(&bed.url(), key);
    let _ = with(secret).run(&["documents", "list"]).await.done();
    assert!(!cli.run(&["keys", "show", id]).await.done().out.contains(secret));
    let rotated = cli.json(&["keys", "rotate", id, "--yes"]).await;
    let next = rotated["api_key"].as_str().unwrap();
    with(secret).run(&["documents", "list"]).await.refused(4, &["credentials_invalid"]);
    let _ = with(next).run(&["documents", "list"]).await.done();
    let _ = cli.run(&["keys", "revoke", id, "--yes"]).await.done();
    with(next).run(&["documents", "list"]).await.refused(4, &["credentials_invalid"]);
}

#[tokio::test]
async fn a_schedule_is_put_paused_run_and_deleted() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let put = cli
        .json(&["schedules", "put", "nightly", "--cron", "0 3 * * *", "--time-zone", "Europe/Berlin"])
        .await;
    assert_eq!((&put["type"], &put["time_zone"]), (&json!("kb.reindex"), &json!("Europe/Berlin")));
    assert_eq!(cli.run(&["schedules", "pause", "nightly"]).await.done().out, "nightly is paused\n");
    assert_eq!(cli.json(&["schedules", "list"]).await[0]["paused"], true);
    let fired = cli.json(&["schedules", "run", "nightly"]).await;
    let _ = cli.run(&["jobs", "tail", fired["job_id"].as_str().unwrap()]).await.done();
    assert_eq!(cli.run(&["schedules", "resume", "nightly"]).await.done().out, "nightly fires again\n");
    let mistyped = ["schedules", "put", "nightly", "--cron", "0 3 * *"];
    cli.run(&mistyped).await.refused(4, &["invalid_cron"]);
    let _ = cli.run(&["schedules", "delete", "nightly", "--yes"]).await.done();
    assert_eq!(cli.json(&["schedules", "list"]).await, json!([]));
}

#[tokio::test]
async fn a_tenant_is_made_changed_suspended_and_deleted() {
    let bed = Bed::embedded().await;
    let cli = operator(&bed);
    let made = cli.json(&["tenants", "create", "birch", "--name", "Birch Ltd", "--plan", "free"]).await;
    let key = made["api_key"].as_str().unwrap().to_owned();
    let birch = Cli::new(&bed.url(), &key);
    let _ = birch.run(&["jobs", "tail"]).await.done();
    let set = cli
        .json(&["tenants", "set", "birch", "--limit", "cap=8", "--limit", "type_caps.graph.build=2"])
        .await;
    assert_eq!(set["beyond_plan"], json!({ "cap": 8, "type_caps": { "graph.build": 2 } }));
    let set = cli.json(&["tenants", "set", "birch", "--limit", "cap=plan", "--name", "Birch"]).await;
    assert_eq!((&set["beyond_plan"]["cap"], &set["name"]), (&json!(null), &json!("Birch")));
    assert_eq!(cli.run(&["tenants", "suspend", "birch", "--yes"]).await.done().out, "birch is suspended\n");
    birch.run(&["documents", "list"]).await.refused(4, &["tenant_suspended"]);
    assert_eq!(cli.run(&["tenants", "resume", "birch"]).await.done().out, "birch is active\n");
    let gone = cli.run(&["tenants", "delete", "birch", "--yes"]).await.done();
    assert_eq!(gone.out, "birch is deprovisioning\n");
    cli.run(&["tenants", "set", "birch"]).await.refused(2, &["say what to change"]);
}

#[tokio::test]
async fn documents_are_deleted_by_name_by_status_and_all_at_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    for name in ["a.md", "b.md", "c.md", "d.md"] {
        acme.ingest(name, &texts::short("Bluebird")).await;
    }
    for name in ["e.html", "f.html"] {
        dead_letter(&acme, name).await;
    }
    let chunks = cli.json(&["documents", "chunks", "a.md"]).await;
    assert!(chunks[0]["text"].as_str().unwrap().contains("Bluebird"), "{chunks}");
    let names = async || {
        let listed = cli.json(&["documents", "list"]).await;
        let names = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let gone = async |gone: &[&str]| {
        wait_for("the documents to be gone", async || {
            let names = names().await;
            if gone.iter().any(|name| names.contains(*name)) { Err(names) } else { Ok(()) }
        })
        .await;
    };
    assert_eq!(cli.run(&["documents", "delete", "a.md", "-y"]).await.done().out, "deleted a.md\n");
    let two = cli.run(&["documents", "delete", "b.md", "c.md", "nowhere.md", "-y"]).await.done();
    assert_eq!(two.out, "deleted 2 of 3 documents\n");
    cli.run(&["documents", "delete", "nowhere.md", "-y"]).await.refused(3, &["not_found"]);
    let failed = cli.run(&["documents", "delete", "--status", "failed", "-y"]).await.done();
    assert_eq!(failed.out, "deleted 2 of 2 documents\n");
    gone(&["a.md", "b.md", "c.md", "e.html", "f.html"]).await;
    assert_eq!(names().await, BTreeSet::from(["d.md".to_owned()]));
    let _ = cli.run(&["kbs", "empty", "default", "--yes"]).await.done();
    gone(&["d.md"]).await;
}

#[tokio::test]
async fn a_worker_is_told_to_stop_fetching_and_to_go_on() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = operator(&bed);
    let listed = cli.json(&["workers", "list"]).await;
    let worker = listed[0]["id"].as_str().unwrap();
    let question = format!("Tell worker {worker} to stop fetching: it ends the 0 jobs that it has");
    cli.run(&["workers", "stop-fetching", worker]).await.refused(2, &[&question, "--yes"]);
    let stop = ["workers", "stop-fetching", worker, "--reason", "a new version", "--yes"];
    assert_eq!(
        cli.run(&stop).await.done().out,
        format!("worker {worker} claims no more jobs, and holds 0\n")
    );
    let shown = cli.json(&["workers", "show", worker]).await;
    assert_eq!(
        (&shown["applied"], &shown["not_fetching"]["reason"]),
        (&json!(true), &json!("a new version"))
    );
    // What the last worker is forgotten with is found.
    let report = cli.run(&["doctor", "--output", "json"]).await;
    assert_eq!(report.code, 1, "{report:?}");
    let checks = report.json();
    let fetching = checks.as_array().unwrap().iter().find(|check| check["check"] == "fetching").unwrap();
    assert!(fetching["found"].as_str().unwrap().contains("1 of 1 workers"), "{fetching}");
    assert!(fetching["fix"].as_str().unwrap().contains(&format!("resume-fetching {worker}")), "{fetching}");
    let job = acme.upload("heron.md", &texts::short("Heron")).await.body["job_id"].clone();
    let resumed = cli.json(&["workers", "resume-fetching", worker]).await;
    assert_eq!((&resumed["fetching"], &resumed["applied"]), (&json!(true), &json!(true)));
    bed.ended(&acme, job.as_str().unwrap().parse().unwrap()).await;

    cli.run(&["workers", "stop-fetching", "nowhere", "--yes"]).await.refused(3, &["not_found"]);
    member(&bed, &acme).run(&["workers", "resume-fetching", worker]).await.refused(4, &["forbidden"]);
}
