//! Logging never takes the service down.

use std::fs::OpenOptions;
use std::io::pipe;
use std::process::Stdio;

use serde_json::json;
use tests::bed::{Http, TestTenant};
use tests::program::Program;
use tests::wait::wait_for;

/// Every request and every job has lines in the log.
const TALKATIVE: [(&str, &str); 1] = [("RUST_LOG", "debug")];

pub(super) async fn tenant(program: &Program, id: &str) -> TestTenant {
    let operator = Http::new(&program.url, &program.operator_key);
    let answer = operator.post("/api/v1/tenants", &json!({ "id": id, "name": id })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let key = answer.body["api_key"].as_str().expect("the answer shows the first key");
    let tenant = TestTenant { id: id.to_owned(), http: Http::new(&program.url, key) };
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get(&format!("/api/v1/tenants/{id}")).await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
    tenant
}

/// Requests are answered and jobs run.
async fn works(program: &Program, id: &str) {
    let tenant = tenant(program, id).await;
    for number in 0..20 {
        let answer = tenant.http.get(&format!("/healthz?{number}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let name = format!("{id}.md");
    assert_eq!(tenant.upload(&name, "Ada Lovelace met Charles Babbage in London.").await.status, 202);
    assert_eq!(tenant.settled(&name).await["status"], "processed");
}

#[tokio::test]
async fn the_reader_of_standard_error_goes_away() {
    let data = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe().unwrap();
    let program = Program::dev_with_stderr(data.path(), &TALKATIVE, writer.into()).await;
    drop(reader);
    works(&program, "acme").await;
}

#[tokio::test]
async fn the_disk_of_standard_error_is_full() {
    let data = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let program = Program::dev_with_stderr(data.path(), &TALKATIVE, full.into()).await;
    works(&program, "acme").await;
}

/// A pipe holds 64 KiB: when nothing reads them, a write waits for ever.
#[tokio::test]
async fn standard_error_is_a_pipe_that_nothing_reads() {
    let data = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let program = Program::dev_with_stderr(data.path(), &TALKATIVE, Stdio::from(writer)).await;
    // Fills the rest of the pipe; ends when the reader is gone.
    let filling = std::thread::spawn(move || {
        use std::io::Write as _;
        while filler.write_all(&[b'x'; 4096]).is_ok() {}
    });
    works(&program, "acme").await;
    let stopped = std::thread::spawn(move || drop(program));
    wait_for("the program to stop although its last lines are not read", async || {
        if stopped.is_finished() { Ok(()) } else { Err("running") }
    })
    .await;
    drop(reader);
    filling.join().unwrap();
}
