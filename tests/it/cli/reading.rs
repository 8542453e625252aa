//! Lists and single things: tables for people, JSON for programs, all pages.

use serde_json::{Value, json};
use tests::bed::Bed;
use tests::cli::Cli;
use tests::texts;

use super::stub::Stub;
use super::{dead_letter, member, operator, waiting_job};

#[tokio::test]
async fn tables_show_what_the_api_says() {
    let bed = Bed::embedded().await;
    let acme = bed.provision("acme").await;
    let cli = member(&bed, &acme);
    acme.ingest("notes.md", &texts::short("Bluebird")).await;
    let dead = dead_letter(&acme, "empty.html").await;
    let job = waiting_job(&acme).await;
    let operator = operator(&bed);
    for (cli, command, first, expected) in [
        (&cli, ["documents", "list"].as_slice(), "notes.md", ["processed", " B  ", "  1  "].as_slice()),
        (&cli, &["documents", "list"], "empty.html", &["failed", "empty_document", "contains no text"]),
        (&cli, &["jobs", "list"], &job, &["kb.reindex", "maintenance", "available", "default"]),
        (&cli, &["dead-letters", "list"], &dead, &["document.ingest", "default", "empty_document"]),
        (&cli, &["kbs", "list"], "default", &["Default", "  1  "]),
        (&cli, &["queues", "list"], "maintenance", &["  1  "]),
        (&cli, &["keys", "list"], "", &["first key", "ADMIN"]),
        (&cli, &["tenants", "usage"], "max_documents", &["  2  ", "documents"]),
        (&operator, &["tenants", "list"], "acme", &["standard", "active"]),
        (&operator, &["workers", "list"], "kb.reindex@", &["maintenance", "  1  "]),
    ] {
        let table = cli.run(command).await.done().out;
        assert!(
            table.lines().next().unwrap().split_whitespace().all(|word| word == word.to_uppercase()),
            "{table}"
        );
        let row =
            table.lines().skip(1).find(|line| line.starts_with(first)).unwrap_or_else(|| panic!("{table}"));
        for word in expected {
            assert!(row.contains(word), "{command:?}: no {word:?} in {table}");
        }
    }
}

#[tokio::test]
async fn all_pages_are_followed_and_a_limit_ends_them() {
    let bed = Bed::embedded().await;
    let cli = operator(&bed);
    for number in 0..7 {
        bed.provision(&format!("page-{number}")).await;
    }
    assert_eq!(cli.json(&["tenants", "list"]).await.as_array().unwrap().len(), 7);
    assert_eq!(cli.json(&["tenants", "list", "--limit", "3"]).await.as_array().unwrap().len(), 3);
    // A server with small pages, as the API has with more than 1,000 things.
    let endless = Stub::start("200 OK", r#"{"tenants":[{"id":"a"},{"id":"b"}],"next":"b"}"#).await;
    let listed = Cli::new(&endless.url, "op_key").json(&["tenants", "list", "--limit", "5"]).await;
    let ids: Vec<_> =
        listed.as_array().unwrap().iter().map(|tenant| tenant["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "a", "b", "a"]);
    let requests = endless.requests();
    let asked: Vec<_> = requests.iter().map(|request| request.lines().next().unwrap()).collect();
    let page = |query: &str| format!("get /api/v1/tenants?{query} http/1.1");
    assert_eq!(asked, [page("limit=5"), page("limit=3&after=b"), page("limit=1&after=b")]);
}

#[tokio::test]
async fn why_a_job_waits_is_said_with_what_would_help() {
    let bed = Bed::embedded().await;
    let acme = bed.provision("acme").await;
    let cli = member(&bed, &acme);
    let job = waiting_job(&acme).await;
    let said = cli.run(&["jobs", "explain", &job]).await.done().out;
    assert_eq!(
        said,
        format!(
            "{job} (kb.reindex) of acme is available and waits: the tenant's queue maintenance is paused\n\
             - tenant_queue_paused: `tenantry queues resume maintenance --tenant acme` ends the pause\n"
        )
    );
    let said = cli.json(&["jobs", "explain", &job]).await;
    assert_eq!(said["waits_for"][0]["code"], "tenant_queue_paused", "{said}");
    let _ = cli.run(&["queues", "resume", "maintenance"]).await.done();
    let tail = cli.run(&["jobs", "tail", &job]).await.done();
    assert_eq!(tail.out, format!("{job} is completed\n"));
    assert!(cli.run(&["jobs", "explain", &job]).await.done().out.contains("is done since"));

    let dead = dead_letter(&acme, "empty.html").await;
    let failed = cli.run(&["documents", "explain", "empty.html"]).await.done().out;
    assert!(failed.starts_with("empty.html failed: ") && failed.contains("(empty_document)"), "{failed}");
    let failed = cli.run(&["jobs", "explain", &dead]).await.done().out;
    assert!(failed.contains(&format!("`tenantry dead-letters retry {dead} --tenant acme`")), "{failed}");
    let tail = cli.run(&["jobs", "tail", &dead]).await;
    assert_eq!(tail.code, 1, "{tail:?}");
}

#[tokio::test]
async fn a_waiting_document_is_explained_by_its_job() {
    let bed = Bed::embedded().await;
    let acme = bed.provision("acme").await;
    let cli = member(&bed, &acme);
    let _ = cli.run(&["queues", "pause", "--yes"]).await.done();
    assert_eq!(acme.upload("notes.md", &texts::short("Bluebird")).await.status, 202);
    let said = cli.run(&["documents", "explain", "notes.md"]).await.done().out;
    assert!(said.contains("`tenantry queues resume --tenant acme` ends the pause"), "{said}");
    let _ = cli.run(&["queues", "resume"]).await.done();
    let tail = cli.run(&["jobs", "tail", "--document", "notes.md"]).await.done();
    assert_eq!(tail.out, "1 document is in the graph, 0 failed\n");
    assert_eq!(cli.run(&["documents", "explain", "notes.md"]).await.done().out, "notes.md is in the graph\n");
}

#[tokio::test]
async fn the_audit_log_is_a_table_of_its_entries() {
    let entries = r#"{"entries":[{"at":"2027-01-15T08:00:00Z","actor":"operator","action":"tenant.suspend",
        "target":"acme","reason":"unpaid","request_id":"r-1","status":200}],"next":null}"#;
    let log = Stub::start("200 OK", entries).await;
    let cli = Cli::new(&log.url, "op_key");
    let table = cli.run(&["audit", "list", "--tenant", "acme"]).await.done().out;
    let cells: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        cells,
        ["2027-01-15", "08:00:00", "operator", "tenant.suspend", "acme", "unpaid", "200", "r-1"]
    );
    let listed = cli.json(&["audit", "list", "--tenant", "acme"]).await;
    assert_eq!(listed, serde_json::from_str::<Value>(entries).unwrap()["entries"], "{listed}");
    assert!(
        log.requests()[0].starts_with("get /api/v1/tenants/acme/audit?limit=100 "),
        "{:?}",
        log.requests()
    );
    assert_eq!(listed[0]["reason"], json!("unpaid"));
}
