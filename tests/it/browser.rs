//! The dashboard in a real Chromium: `tests/browser/walk.py` signs in as operator, ADMIN and VIEWER, looks at every
//! page and tries every kind of action. `make test` brings the browser along.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::PASSWORD;
use tests::bed::{Answer, Bed, TestTenant, send};
use tests::wait::wait_for;
use tokio::process::Command;

/// Stands in names, reasons and texts. If it ever runs, the browser shows a dialog, which the walk reports.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'";
/// What only the other tenant has.
const CANARY: &str = "Zanzibarcanary";

#[tokio::test]
#[ignore = "needs Chromium: make browser"]
async fn every_page_works_and_shows_nothing_of_others() {
    let bed = Bed::embedded().await;
    let (mine, other) = bed.look_alikes().await;
    other.ingest(&format!("{CANARY}.md"), &format!("{CANARY} met Ada Lovelace.")).await;
    mine.ingest(
        &format!("{}.md", HOSTILE.replace('/', "")),
        &format!("Ada Lovelace met {HOSTILE} in London."),
    )
    .await;
    let failed = dead_letter(&bed, &mine).await;
    let waiting = waiting(&mine).await;
    let facts = json!({
        "url": bed.url(),
        "operator": bed.operator().key(),
        "tenant": mine.id,
        "other": other.id,
        "canary": CANARY,
        "accounts": {
            "ADMIN": account(&bed, &mine, "ADMIN").await,
            "VIEWER": account(&bed, &mine, "VIEWER").await,
        },
        "failed": failed,
        "parent": parent(&mine).await,
        "documents": {
            "processed": document(&mine, "processed").await,
            "failed": document(&mine, "failed").await,
            "pending": document(&mine, "pending").await,
        },
        "waiting": waiting.body["job_id"],
        "batch": waiting.body["batch_id"],
        "worker": bed.operator().get("/api/v1/workers").await.body["workers"][0]["id"],
    });
    walk(&facts).await;
}

/// An account with a role in the tenant: username and password.
async fn account(bed: &Bed, tenant: &TestTenant, role: &str) -> [String; 2] {
    let username = format!("{}@{}", role.to_lowercase(), tenant.id);
    let invited =
        tenant.http.post(&path(tenant, "members"), &json!({ "subject": username, "role": role })).await;
    let invitation = invited.body["invitation"].as_str().expect("an invitation has a secret");
    let accept = json!({ "invitation": invitation, "username": username, "password": PASSWORD });
    let url = format!("{}/api/v1/auth/accept-invitation", bed.url());
    let accepted = send(reqwest::Client::new().post(url).json(&accept)).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    [username, PASSWORD.to_owned()]
}

/// The job that read the first document: it enqueued the extraction.
async fn parent(tenant: &TestTenant) -> String {
    let answer = tenant.http.get(&path(tenant, "kbs/default/documents?status=processed&limit=1")).await;
    answer.body["documents"][0]["job_id"].as_str().expect("a document has a job").to_owned()
}

/// A document in this status.
async fn document(tenant: &TestTenant, status: &str) -> String {
    let answer =
        tenant.http.get(&path(tenant, &format!("kbs/default/documents?status={status}&limit=1"))).await;
    answer.body["documents"][0]["id"].as_str().expect("there is a document in each status").to_owned()
}

/// A document that has no room in the graph: its job is a dead letter.
async fn dead_letter(bed: &Bed, tenant: &TestTenant) -> String {
    limit_entities(bed, tenant, json!(1)).await;
    let answer = tenant.upload("too-large.md", "Grace Hopper met Alan Turing and John von Neumann.").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(tenant.settled("too-large.md").await["status"], "failed");
    limit_entities(bed, tenant, Value::Null).await;
    wait_for("the dead letter", async || {
        let answer = tenant.http.get(&path(tenant, "dead-letters")).await;
        answer.body["jobs"][0]["id"].as_str().map(str::to_owned).ok_or(answer)
    })
    .await
}

async fn limit_entities(bed: &Bed, tenant: &TestTenant, limit: Value) {
    let change = json!({ "limits": { "entities_per_kb": limit } });
    let request =
        bed.operator().request(Method::PATCH, &format!("/api/v1/tenants/{}", tenant.id)).json(&change);
    assert_eq!(send(request).await.status, 200);
}

/// An upload whose job waits because its tenant is paused.
async fn waiting(tenant: &TestTenant) -> Answer {
    let paused = tenant.http.post(&path(tenant, "jobs/pause"), &Value::Null).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let answer = tenant.upload("waits.md", "Emmy Noether met David Hilbert.").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
}

fn path(tenant: &TestTenant, rest: &str) -> String {
    format!("/api/v1/tenants/{}/{rest}", tenant.id)
}

async fn walk(facts: &Value) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("facts.json");
    tokio::fs::write(&file, facts.to_string()).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/walk.py");
    let installed = std::env::var("BROWSER").expect("BROWSER is the directory of Playwright: make browser");
    let output =
        Command::new("python3").env("PYTHONPATH", installed).arg(script).arg(&file).output().await.unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
}
