//! Documents whose language model is busy, answers oddly, or refuses a passage.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use tests::bed::{Bed, Http, TestTenant, send};
use tests::model::{Model, Reply};
use tests::program::{Program, http_client};
use tests::receiver::Receiver;
use tests::services::Scratch;
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
    // Chooses who encrypts, which a process without a system of its own has not done.
    drop(http_client());
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
/// Method: a model that answers four times and is silent then, until `kill -9`. The worker asks about four chunks at a
/// time, and asks the next question when an answer is stored.
#[tokio::test]
async fn a_worker_that_is_killed_costs_only_the_answers_that_were_on_their_way() {
    let model = Model::start(|before, _| match before {
        0..4 => Reply::names(&["Nora Lindqvist"]),
        _ => Reply::Hang,
    })
    .await;
    let data = tempfile::tempdir().unwrap();
    let settings = [("OPENAI_BASE_URL", model.url.as_str())];
    let program = Program::dev_with(data.path(), &settings);
    let acme = provision(&program).await;
    assert_eq!(acme.upload("heron.md", &parts(12)).await.status, 202);
    model.wait(8).await;
    program.kill();
    model.answers(|_, _| Reply::names(&["Nora Lindqvist"]));
    let program = Program::dev_with(data.path(), &settings);
    let acme = TestTenant { http: acme.http.at(&program.url), ..acme };
    let settled = acme.settled("heron.md").await;
    assert_eq!(
        (&settled["status"], &settled["counts"]["chunks"]),
        (&json!("processed"), &json!(8)),
        "of one job"
    );
    let asked = model.asked();
    assert_eq!(asked.len(), 8 + 4, "each once, and four once more");
    for passage in &asked[..4] {
        assert_eq!(asked.iter().filter(|other| *other == passage).count(), 1, "it was answered: {passage}");
    }
}

fn filtered() -> Reply {
    Reply::Raw(400, None, json!({"error": {"code": "content_filter", "message": "PART of the text"}}))
}

/// A model that refuses passages with a marker.
async fn filtering(marker: &'static str) -> Model {
    Model::start(move |_, text: &str| match text {
        text if text.contains(marker) => filtered(),
        _ => Reply::names(&["Nora Lindqvist"]),
    })
    .await
}

#[tokio::test]
async fn a_refused_chunk_costs_that_chunk_and_is_extracted_once_more_when_asked_for() {
    let model = filtering("PART:3 ").await;
    partial_and_whole_again(&Bed::embedded_asking(&model.url).await, &model).await;
}

#[tokio::test]
async fn the_same_on_postgres() {
    let database = Scratch::create().await;
    database.migrate().await;
    let model = filtering("PART:3 ").await;
    partial_and_whole_again(&Bed::on_postgres_asking(&database, &model.url).await, &model).await;
}

async fn partial_and_whole_again(bed: &Bed, model: &Model) {
    let (acme, other) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    acme.webhook(&receiver.url, &["document.processed"]).await;
    assert_eq!(acme.upload("heron.md", &parts(6)).await.status, 202);
    let document = acme.settled("heron.md").await;
    assert_eq!((&document["status"], &document["error"]), (&json!("partial"), &Value::Null), "{document}");
    let (failed, chunks) =
        (document["chunks_failed"].as_u64().unwrap(), document["counts"]["chunks"].as_u64().unwrap());
    assert!(0 < failed && failed < chunks && document["counts"]["entities"] == 1, "{document}");
    let listed = document["failed_chunks"].as_array().unwrap();
    assert_eq!(listed.len() as u64, failed);
    for chunk in listed {
        assert_eq!((&chunk["code"], &chunk["retryable"]), (&json!("content_filtered"), &json!(false)));
        let detail = chunk["detail"].as_str().unwrap();
        assert!(detail.contains("content filter") && !detail.contains("PART"), "{detail}");
        let path = acme.kb(&format!("documents/{}/chunks/{}", text(&document["id"]), chunk["chunk"]));
        let shown = acme.http.get(&path).await.body;
        assert!(text(&shown["text"]).contains("PART:3 "), "{shown}");
    }
    let rows = async |status: &str| {
        let page = acme.http.get(&acme.kb(&format!("documents?status={status}"))).await.body;
        page["documents"].as_array().unwrap().clone()
    };
    assert_eq!(rows("partial").await[0]["chunks_failed"], failed);
    assert_eq!(rows("processed").await, Vec::<Value>::new());
    assert_eq!(acme.http.get(acme.kb("").trim_end_matches('/')).await.body["documents"]["partial"], 1);
    let told = receiver.wait(1).await.remove(0).json();
    assert_eq!(
        (&told["type"], &told["data"]["error_code"]),
        (&json!("document.processed"), &json!("partial"))
    );

    let retry = acme.kb(&format!("documents/{}/retry", text(&document["id"])));
    let theirs =
        other.http.post(&other.kb(&format!("documents/{}/retry", text(&document["id"]))), &json!({})).await;
    assert_eq!(theirs.status, 404, "{theirs:?}");
    let asked = model.asked().len();
    model.answers(|_, _| Reply::names(&["Tomas Varga"]));
    let accepted = send(acme.http.request(Method::POST, &retry)).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let whole = wait_for("the document to be whole", async || {
        let document = acme.document("heron.md").await.body;
        if document["status"] == "processed" { Ok(document) } else { Err(document) }
    })
    .await;
    assert_eq!((&whole["chunks_failed"], &whole["failed_chunks"]), (&json!(0), &json!([])), "{whole}");
    assert_eq!(whole["counts"]["entities"], 2, "{whole}");
    let again = model.asked().split_off(asked);
    assert_eq!(again.len() as u64, failed, "only what gave nothing");
    assert!(again.iter().all(|passage| passage.contains("PART:3 ")));
    let refused = send(acme.http.request(Method::POST, &retry)).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("not_partial")), "{refused:?}");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[tokio::test]
async fn answers_that_stay_unreadable_cost_their_chunk_after_three_attempts() {
    let model = Model::start(|_, text: &str| match text {
        text if text.contains("PART:0 ") => Reply::Content("I cannot do that.".into()),
        text if text.contains("PART:5 ") => {
            Reply::Content(json!({"entities": [{"name": null, "type": "person"}]}).to_string().into())
        }
        _ => Reply::names(&["Nora Lindqvist"]),
    })
    .await;
    let bed = Bed::embedded_asking(&model.url).await;
    let (acme, _) = bed.look_alikes().await;
    assert_eq!(acme.upload("heron.md", &parts(6)).await.status, 202);
    let document = acme.settled("heron.md").await;
    assert_eq!(document["status"], "partial", "{document}");
    let codes: Vec<_> =
        document["failed_chunks"].as_array().unwrap().iter().map(|chunk| text(&chunk["code"])).collect();
    assert!(codes.starts_with(&["answer_unreadable"]) && codes.ends_with(&["records_dropped"]), "{codes:?}");
    assert!(document["failed_chunks"].as_array().unwrap().iter().all(|chunk| chunk["retryable"] == true));
    let asked = model.asked();
    let first = asked.iter().filter(|passage| passage.contains("PART:0 ")).count();
    assert_eq!(first, 3, "and no other chunk is asked about twice");
    let chunks = document["counts"]["chunks"].as_u64().unwrap();
    assert_eq!(asked.len() as u64, chunks + 2 * document["chunks_failed"].as_u64().unwrap());
}

#[tokio::test]
async fn a_document_of_which_every_chunk_is_refused_fails_and_goes_on_when_it_is_started_again() {
    let model = filtering("Nora").await;
    let bed = Bed::embedded_asking(&model.url).await;
    let (acme, _) = bed.look_alikes().await;
    assert_eq!(acme.upload("heron.md", &parts(4)).await.status, 202);
    let document = acme.settled("heron.md").await;
    assert_eq!(
        (&document["status"], &document["error"]["code"]),
        (&json!("failed"), &json!("content_filtered"))
    );
    assert!(text(&document["error"]["detail"]).starts_with("none of its "), "{document}");
    let asked = model.asked().len();
    model.answers(|_, _| Reply::names(&["Nora Lindqvist"]));
    let of_tenant = format!("/api/v1/tenants/{}/dead-letters", acme.id);
    let kept = acme.http.get(&of_tenant).await.body;
    let job = text(&kept["jobs"][0]["id"]).to_owned();
    let started = send(acme.http.request(Method::POST, &format!("{of_tenant}/{job}/retry"))).await;
    assert!(started.status < 300, "{started:?}");
    wait_for("the document to be processed", async || {
        let document = acme.document("heron.md").await.body;
        if document["status"] == "processed" { Ok(()) } else { Err(document) }
    })
    .await;
    assert_eq!(model.asked().len(), 2 * asked);
}
