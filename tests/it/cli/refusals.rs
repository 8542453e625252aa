//! What a command says when it cannot do its work, and the exit code that a script sees.

use reqwest::Method;
use serde_json::json;
use tests::bed::{Bed, send};
use tests::cli::Cli;
use tests::program::free_address;

use super::stub::Stub;
use super::{member, operator, waiting_job};

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    cli.run(&["jobs", "show", "0198"]).await.refused(3, &["not_found (HTTP 404)", "to do", "request"]);
    cli.run(&["jobs", "list", "--state", "sleeping"]).await.refused(4, &["invalid_query", "retryable"]);
    cli.run(&["tenants", "list"]).await.refused(4, &["forbidden", "only the operator's key"]);
    cli.run(&["jobs", "list", "--sort", "id"]).await.refused(2, &["--sort"]);
    cli.run(&["jobs", "cancel", "--yes"]).await.refused(2, &["say which jobs"]);
    cli.run(&["dead-letters", "purge", "--yes"]).await.refused(2, &["say which jobs"]);
    cli.run(&["queues", "pause", "documents", "--all-tenants", "-y"]).await.refused(2, &["for operators"]);
    let limit = operator(&bed).run(&["tenants", "set", &acme.id, "--limit", "kbs=1"]).await.done();
    assert!(limit.out.contains("limits.kbs"), "{limit:?}");
    cli.run(&["kbs", "create", "more"]).await.refused(6, &["kbs_limit_reached (HTTP 429)"]);
    let closed = cli.run(&["documents", "list", "--kb", "nowhere"]).await;
    closed.refused(3, &["not_found"]);
}

#[tokio::test]
async fn a_wrong_key_is_said_to_be() {
    let bed = Bed::embedded().await;
    let cli = Cli::new(&bed.url(), "op_wrong").with("TENANTRY_PROFILE", "");
    let said = ["credentials_invalid (HTTP 401)", "tenantry profile set NAME --key -"];
    cli.run(&["tenants", "list"]).await.refused(4, &said);
    let nothing = Cli::bare().with("TENANTRY_URL", &bed.url());
    nothing.run(&["tenants", "list"]).await.refused(4, &["credentials_missing", "--key, TENANTRY_KEY"]);
    cli.run(&["tenants", "list", "--key", "two words"]).await.refused(2, &["characters that no key has"]);
}

#[tokio::test]
async fn no_answer_and_a_strange_answer_are_told_apart_from_refusals() {
    let nowhere = Cli::new(&format!("http://{}", free_address()), "op_key");
    nowhere
        .run(&["tenants", "list"])
        .await
        .refused(5, &["does not answer: connection refused", "tenantry dev"]);
    for (status, body) in [("404 Not Found", "<html>"), ("200 OK", "<html>"), ("200 OK", "{}")] {
        let page = Stub::start(status, body).await;
        let ran = Cli::new(&page.url, "op_key").run(&["tenants", "list"]).await;
        ran.refused(5, &["as Tenantry's API does", &page.url]);
    }
    Cli::bare().run(&["tenants", "list"]).await.refused(2, &["no API is known", "tenantry profile set"]);
    let mistyped = Cli::new("localhost:8080", "k").run(&["tenants", "list"]).await;
    mistyped.refused(2, &["TENANTRY_URL: \"localhost:8080\" cannot be used", "http://localhost:8080"]);
}

#[tokio::test]
async fn a_tenants_key_sees_nothing_of_another() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    twin.ingest("canary.md", &tests::texts::short("Canary")).await;
    let job = waiting_job(&twin).await;
    let cli = member(&bed, &acme);
    for command in [
        ["documents", "list"].as_slice(),
        &["documents", "show", "canary.md"],
        &["kbs", "list"],
        &["jobs", "list"],
        &["jobs", "explain", &job],
        &["jobs", "cancel", &job, "--yes"],
        &["dead-letters", "list"],
        &["schedules", "list"],
        &["keys", "list"],
        &["queues", "pause", "--yes"],
        &["tenants", "show"],
        &["top", "--once"],
    ] {
        let ran = cli.run(&[command, &["--tenant", &twin.id]].concat()).await;
        ran.refused(4, &["tenant_mismatch (HTTP 403)"]);
    }
    cli.run(&["documents", "show", "canary.md"]).await.refused(3, &["not_found"]);
    cli.run(&["jobs", "show", &job]).await.refused(3, &["not_found"]);
    let doctor = cli.run(&["doctor"]).await.done();
    let top = cli.run(&["top", "--once"]).await.done();
    assert!(!format!("{doctor:?}{top:?}").contains(&twin.id), "{doctor:?}{top:?}");
}

#[tokio::test]
async fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("notes.md", &tests::texts::short("Bluebird")).await;
    let job = waiting_job(&acme).await;
    let cli = member(&bed, &acme);
    let id = acme.id.as_str();
    for (command, question) in [
        (["jobs", "cancel", &job].as_slice(), format!("Cancel 1 job of {id}?")),
        (&["jobs", "cancel", "--type", "kb.reindex"], format!("Cancel 1 job of {id}?")),
        (&["jobs", "cancel", "--all"], format!("Cancel every job of {id}: 1 wait and 0 run?")),
        (&["queues", "drain"], format!("Drain all queues of {id}, which has 1 job?")),
        (
            &["documents", "delete", "notes.md"],
            format!("Delete 1 document of the knowledge base default of {id}?"),
        ),
        (&["kbs", "delete", "default"], format!("Delete the knowledge base default of {id}: 1 document?")),
        (&["dead-letters", "purge", "--all"], format!("Throw away 0 jobs of {id} for good?")),
    ] {
        cli.run(command).await.refused(2, &[&question, "--yes"]);
    }
    assert_eq!(cli.json(&["jobs", "show", &job]).await["state"], "available");
    assert_eq!(cli.json(&["documents", "show", "notes.md"]).await["status"], "processed");
    let body = json!({ "name": "x.md", "text": "Heron" });
    let upload = acme.http.request(Method::POST, &acme.kb("documents/text")).json(&body);
    assert_eq!(send(upload).await.status, 202, "nothing is drained");
}

#[tokio::test]
async fn a_mistyped_variable_is_named_with_the_nearest_one() {
    let cli = Cli::new("http://localhost:1", "op_key").with("TENANTRY_PROFIL", "work");
    let said = cli.run(&["workers", "list"]).await.err;
    assert!(
        said.contains("TENANTRY_PROFIL is no setting and is ignored: did you mean TENANTRY_PROFILE?"),
        "{said}"
    );
    assert_eq!(said.matches("is no setting").count(), 1, "{said}");
}
