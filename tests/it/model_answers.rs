//! Documents whose language model is busy, answers oddly, or refuses a passage.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tests::bed::{Bed, Http, TestTenant};
use tests::model::{Model, Reply};
use tests::program::Program;
use tests::wait::wait_for;

/// A text of about `parts` chunks, each with a marker of its own: `PART:0`, `PART:1`, …
fn parts(parts: usize) -> String {
    let mut text = String::new();
    for part in 0..parts {
        let sentence = format!("PART:{part} Nora Lindqvist runs Fennwick Ltd in the harbour of Oslo. ");
        let _ = writeln!(text, "{}\n", sentence.repeat(40));
    }
    text
}

async fn provision(program: &Program) -> TestTenant {
    let operator = Http::new(&program.url, &program.operator_key);
    let answer = operator.post("/api/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await;
    let key = answer.body["api_key"].as_str().expect("the answer shows the first key");
    let tenant = TestTenant { id: "acme".to_owned(), http: Http::new(&program.url, key) };
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get("/api/v1/tenants/acme").await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
    tenant
}

async fn jobs(tenant: &TestTenant, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/tenants/{}/jobs?{query}", tenant.id);
    tenant.http.get(&path).await.body["jobs"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_busy_model_costs_no_attempt_and_the_document_says_what_it_waits_for() {
    let busy =
        |retry_after| Reply::Raw(429, Some(("retry-after", retry_after)), json!({"error": {"code": "slow"}}));
    let model = Model::start(move |_, _| busy("3600")).await;
    let bed = Bed::embedded_asking(&model.url).await;
    let (acme, _) = bed.look_alikes().await;
    assert_eq!(acme.upload("heron.md", "Nora Lindqvist runs Fennwick Ltd.").await.status, 202);
    let waits_for = wait_for("the document to say what it waits for", async || {
        let document = acme.document("heron.md").await.body;
        let waits_for = &document["waits_for"];
        if waits_for["error"]["code"] == "waits" { Ok(waits_for.clone()) } else { Err(document) }
    })
    .await;
    assert_eq!((&waits_for["type"], &waits_for["attempts"]), (&json!("entities.extract"), &json!(0)));
    assert_eq!(waits_for["error"]["detail"], "the model: the endpoint answered 429 (slow)");
    let id = waits_for["job_id"].as_str().unwrap();
    let path = format!("/api/v1/tenants/{}/jobs/{id}", acme.id);
    let job = acme.http.get(&path).await.body;
    assert_eq!((&job["state"], &job["attempt"], &job["waits"]), (&json!("retryable"), &json!(0), &json!(1)));
    assert_eq!(job["waits_for"][0]["code"], "service", "{job}");
    let text = job["waits_for"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("waits for the model: the endpoint answered 429 (slow); tries again at 2"),
        "{text}"
    );
    // Nothing runs meanwhile: the slot is free.
    assert_eq!(jobs(&acme, "state=active").await, Vec::<Value>::new());

    model.answers(|_, _| Reply::names(&["Nora Lindqvist"]));
    let now = json!({ "scheduled_at": bed.now() });
    let moved = acme.http.post(&format!("{path}/reschedule"), &now).await;
    assert!(moved.status < 300, "{moved:?}");
    assert_eq!(acme.settled("heron.md").await["counts"]["entities"], 1);
    let job = acme.http.get(&path).await.body;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
}

/// Goal: what was answered is not asked for again.
/// Method: a model that answers about all chunks of a job but one, and `kill -9` while it is silent about that.
#[tokio::test]
async fn a_worker_that_is_killed_costs_only_the_answer_that_was_on_its_way() {
    let model = Model::start(|_, text: &str| match text {
        text if text.contains("PART:0 ") => Reply::Hang,
        _ => Reply::names(&["Nora Lindqvist"]),
    })
    .await;
    let data = tempfile::tempdir().unwrap();
    let settings = [("OPENAI_BASE_URL", model.url.as_str())];
    let program = Program::dev_with(data.path(), &settings);
    let acme = provision(&program).await;
    assert_eq!(acme.upload("heron.md", &parts(12)).await.status, 202);
    let chunks = wait_for("all answers but one to be stored", async || {
        let document = acme.document("heron.md").await.body;
        let stage = &document["stage"];
        let (done, total) = (stage["done"].as_u64().unwrap_or(0), stage["total"].as_u64().unwrap_or(0));
        if stage["name"] == "extracting" && done + 1 == total { Ok(total) } else { Err(document) }
    })
    .await;
    assert!(chunks > 5, "more than are asked about at once: {chunks}");
    program.kill();
    assert_eq!(model.asked().len() as u64, chunks);
    model.answers(|_, _| Reply::names(&["Nora Lindqvist"]));
    let program = Program::dev_with(data.path(), &settings);
    let acme = TestTenant { http: acme.http.at(&program.url), ..acme };
    assert_eq!(acme.settled("heron.md").await["status"], "processed");
    let asked = model.asked();
    assert_eq!(asked.len() as u64, chunks + 1, "each once, and one once more");
    assert!(asked.last().unwrap().contains("PART:0 "));
}
