//! An action whose entry the audit log cannot take is not lost: it is in the program's own log.

use reqwest::Method;
use serde_json::json;
use tests::bed::Http;
use tests::program::Program;
use tests::wait::wait_for;

use super::full_disk::SmallDisk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_audit_log_cannot_take_is_in_the_programs_log() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: no file system can be mounted here; run the test as root");
        return;
    };
    let data = tempfile::tempdir_in(disk.path()).unwrap();
    let program = Program::dev(data.path());
    let operator = Http::new(&program.url, &program.operator_key);
    let made = operator.post("/api/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await;
    assert_eq!(made.status, 202, "{made:?}");
    let line = wait_for("an action that the log cannot take", async || {
        // Pages that other writes freed are used up one by one.
        disk.fill();
        let request = operator.request(Method::POST, "/api/v1/tenants/acme/jobs/cancel-all");
        let request = request.header("audit-reason", "a noisy neighbour").header("x-request-id", "audit-1");
        request.send().await.map_err(|error| error.to_string())?;
        let said = program.said();
        let lost = said.lines().find(|line| line.contains("could not be added to the audit log"));
        lost.map(str::to_owned).ok_or_else(|| "everything was added".to_owned())
    })
    .await;
    assert!(line.contains("ERROR"), "{line}");
    for part in ["acme", "cancel_everything", "operator", "a noisy neighbour", "audit-1"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
}
