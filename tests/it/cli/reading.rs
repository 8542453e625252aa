//! Lists and single things: tables for people, JSON for programs, all pages.

use serde_json::json;
use stores::direct::DirectSqlite;
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
        (&operator, &["workers", "list"], "", &["true", "  16  "]),
        (&operator, &["workers", "skills"], "kb.reindex@", &["maintenance", "  1  "]),
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
async fn the_audit_log_says_who_did_what_and_why() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let reason = "the store moves; \u{e4}\u{1f980}";
    for tenant in [&acme, &twin] {
        let pause = ["queues", "pause", "documents", "--reason", reason, "--yes"];
        let _ = member(&bed, tenant).run(&pause).await.done();
    }
    let cli = member(&bed, &acme);
    let all = cli.json(&["audit", "list"]).await;
    assert_eq!((&all[0]["action"], &all[0]["reason"]), (&json!("flow_pause_queue"), &json!(reason)), "{all}");
    assert_eq!(all[0]["target"]["queue"], "documents", "{all}");
    assert!(!all.to_string().contains(&twin.id), "{all}");
    let table = cli.run(&["audit", "list", "--since", "1h"]).await.done().out;
    let row = table.lines().nth(1).unwrap();
    for word in [acme.id.as_str(), "api_key:", "flow_pause_queue", "queue: documents", reason, "200"] {
        assert!(row.contains(word), "no {word} in {table}");
    }
    assert_eq!(cli.json(&["audit", "list", "--until", "1h"]).await, json!([]));
    let whole = operator(&bed).json(&["audit", "list", "--action", "flow_pause_queue"]).await;
    assert_eq!(whole.as_array().unwrap().len(), 2, "{whole}");
    assert_eq!(operator(&bed).json(&["audit", "list", "--limit", "1"]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_changed_or_removed_entry_of_the_audit_log_is_named() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    for tenant in [&acme, &twin] {
        for change in ["pause", "resume", "pause"] {
            let _ = member(&bed, tenant).run(&["queues", change, "--yes"]).await.done();
        }
    }
    let (cli, operator) = (member(&bed, &acme), operator(&bed));
    let checked = cli.json(&["audit", "verify"]).await;
    assert_eq!((&checked[0]["log"], &checked[0]["entries"]), (&json!(acme.id), &json!(3)), "{checked}");
    let head = checked[0]["printed_head"].as_str().unwrap();
    assert_eq!(cli.run(&["audit", "verify", "--head", head]).await.done().code, 0);
    let logs = operator.json(&["audit", "verify"]).await;
    let names: Vec<_> = logs.as_array().unwrap().iter().map(|log| log["log"].as_str().unwrap()).collect();
    assert_eq!(names, ["operator", &acme.id, &twin.id]);

    let mut catalog = DirectSqlite::open(&bed.data_dir().join("catalog.db")).await.unwrap();
    let id = &acme.id;
    let second = format!("where tenant_id = '{id}' and number = 2");
    // Possible with write access to the file, and in no other way.
    catalog.execute("drop trigger audit_log_stays").await.unwrap();
    catalog.execute(&format!("update audit_log set actor = 'local:eve' {second}")).await.unwrap();
    let said = operator.run(&["audit", "verify"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("entry 2 was changed") && said.err.contains("1 of 3 audit logs"), "{said:?}");
    catalog.execute(&format!("delete from audit_log {second}")).await.unwrap();
    let said = cli.run(&["audit", "verify"]).await;
    assert!(said.code == 1 && said.out.contains("entry 2 is missing"), "{said:?}");
    // Written anew from the second entry on, in a way that fits: only the head that was noted shows it.
    catalog.execute(&format!("delete from audit_log where tenant_id = '{id}' and number = 3")).await.unwrap();
    for change in ["resume", "pause"] {
        let _ = cli.run(&["queues", change, "--yes"]).await.done();
    }
    assert_eq!(cli.run(&["audit", "verify"]).await.code, 0);
    let said = cli.run(&["audit", "verify", "--head", head]).await;
    assert!(said.code == 1 && said.out.contains("entry 3 has another hash than was noted"), "{said:?}");
    let other = member(&bed, &twin).json(&["audit", "verify"]).await;
    assert_eq!(other[0]["found"], "as it was written");
}
