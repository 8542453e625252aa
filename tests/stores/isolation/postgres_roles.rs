//! What the role of the application can do by itself, and what as a reader.

use serde_json::json;
use stores::direct::DirectPostgres;

use super::tenants::{seed, servers};

/// Runs `attempt` as the application and returns what the server said against it.
async fn refusal(app: &DirectPostgres, attempt: &str) -> String {
    match app.rows(attempt, "select 1").await {
        Ok(_) => panic!("the server allowed: {attempt}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_application_cannot_lift_the_isolation() {
    let servers = servers().await;
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    for attempt in [
        "alter table documents disable row level security",
        "alter table documents no force row level security",
        "create policy all_rows on documents using (true)",
        "drop policy tenant_rows on documents",
        "truncate documents",
        "drop table documents",
        "create table stash (row text)",
        "set local role tenantry_owner",
        "set local role postgres",
        "set local session authorization tenantry_owner",
        "set local row_security = off; select * from documents",
        "alter role tenantry_app bypassrls",
        "grant tenantry_directory to tenantry_app with inherit true",
        "select * from tenantry.users",
        "delete from tenantry.sessions",
        "set local role tenantry_directory; select * from tenantry.users",
        "insert into tenantry.migrations values (99, '', now(), true, '', 0)",
    ] {
        let refused = refusal(&app, attempt).await;
        let expected = ["permission denied", "must be owner", "row-level security", "denied to"];
        assert!(expected.iter().any(|text| refused.contains(text)), "{attempt}: {refused}");
    }
}

#[tokio::test]
async fn the_readers_see_their_tables_and_no_others() {
    let servers = servers().await;
    let mine = seed(&servers, "mine").await;
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    for (role, readable) in [
        (
            "tenantry_directory",
            vec![
                "api_keys",
                "audit_log",
                "documents",
                "job_marks",
                "kbs",
                "members",
                "schedules",
                "slugs",
                "tenants",
            ],
        ),
        (
            "tenantry_relay",
            vec![
                "audit_log",
                "outbox",
                "schedules",
                "unfinished_jobs",
                "webhook_deliveries",
                "webhook_endpoints",
            ],
        ),
        ("tenantry_identity", vec!["members", "tenants"]),
    ] {
        let grants = format!(
            "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' \
             and has_any_column_privilege('{role}', oid, 'select') order by 1"
        );
        let granted: Vec<_> = app.rows("", &grants).await.unwrap();
        let granted: Vec<_> = granted.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(granted, readable, "{role}");
        let become_reader = format!("set local role {role}");
        for table in &readable {
            let query = format!("select tenant_id from {table} where tenant_id = '{}'", mine.id);
            assert!(!app.rows(&become_reader, &query).await.unwrap().is_empty(), "{role} on {table}");
        }
        // Of documents it counts rows and adds up sizes, and reads no name.
        let names = format!("{become_reader}; select name from documents");
        assert!(refusal(&app, &names).await.contains("permission denied"), "{role} reads names");
        let write = format!("{become_reader}; update schedules set cron = '' where false");
        assert!(refusal(&app, &write).await.contains("permission denied"), "{role} may write");
    }
}

#[tokio::test]
async fn the_relay_writes_to_the_outbox_and_the_keeper_of_users_to_what_is_no_tenants() {
    let servers = servers().await;
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    let writable = "select r.rolname as role, c.relname as name, p.privilege \
        from pg_class c, pg_roles r, unnest(array['insert', 'update', 'delete', 'truncate']) as p (privilege) \
        where c.relnamespace in ('public'::regnamespace, 'tenantry'::regnamespace) and c.relkind = 'r' \
          and r.rolname in ('tenantry_directory', 'tenantry_relay', 'tenantry_identity') \
          and has_table_privilege(r.oid, c.oid, p.privilege) \
        order by 1, 2, 3";
    let mut expected = Vec::new();
    for table in ["gates", "operator_audit_log", "queue_flows", "sessions", "users"] {
        // No role changes what the audit log says.
        let is_log = table == "operator_audit_log";
        for privilege in
            ["delete", "insert", "update"].into_iter().filter(|privilege| !is_log || *privilege != "update")
        {
            expected.push(json!({ "role": "tenantry_identity", "name": table, "privilege": privilege }));
        }
    }
    expected.push(json!({ "role": "tenantry_relay", "name": "audit_log", "privilege": "delete" }));
    expected.push(json!({ "role": "tenantry_relay", "name": "outbox", "privilege": "delete" }));
    expected.push(json!({ "role": "tenantry_relay", "name": "outbox_rejected", "privilege": "insert" }));
    expected.push(json!({ "role": "tenantry_relay", "name": "unfinished_jobs", "privilege": "insert" }));
    assert_eq!(app.rows("", writable).await.unwrap(), expected);
}
