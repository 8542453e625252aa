//! The catalog's file itself: what no port shows.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod redis_server;

use std::path::Path;
use std::sync::Arc;

use jobs::clock::{Clock as _, SystemClock};
use jobs::tenant::{Actor, Permissions, Role, TenantContext};
use redis_server::RedisServer;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stores::model::{Acceptance, NewTenant};
use stores::{Backends, Opened, StoresConfig};

async fn open(directory: &Path, redis: &RedisServer) -> (Opened, SqlitePool) {
    let data_dir = directory.join("data");
    let config = StoresConfig {
        backends: Backends::Embedded,
        blobs_url: None,
        data_dir: data_dir.clone(),
        redis_url: redis.url(),
    };
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    let file = SqliteConnectOptions::new().filename(data_dir.join("catalog.db"));
    (opened, SqlitePool::connect_with(file).await.unwrap())
}

#[tokio::test]
async fn every_table_begins_its_key_with_the_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(directory.path());
    let (_opened, file) = open(directory.path(), &redis).await;
    let tables: Vec<String> = sqlx::query_scalar(
        // People belong to no tenant.
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'
         AND name NOT LIKE 'identity~_%' ESCAPE '~'",
    )
    .fetch_all(&file)
    .await
    .unwrap();
    assert!(tables.len() >= 10, "{tables:?}");
    for table in tables {
        let first: String = sqlx::query_scalar("SELECT name FROM pragma_table_info(?) WHERE pk = 1")
            .bind(&table)
            .fetch_one(&file)
            .await
            .unwrap();
        assert_eq!(first, "tenant_id", "{table}");
    }
}

/// The text of each SQL statement in a source file.
fn statements(source: &str) -> Vec<&str> {
    let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    let literals = source.split('"').skip(1).step_by(2);
    literals.filter(|text| verbs.iter().any(|verb| text.trim_start().starts_with(verb))).collect()
}

#[test]
fn every_statement_of_a_tenants_catalog_names_the_tenant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/embedded/catalog");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        for statement in statements(&source) {
            let inserts = statement.trim_start().starts_with("INSERT") && statement.contains("(tenant_id,");
            let filters = statement.contains("tenant_id = ?");
            assert!(inserts || filters, "{}: {statement}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 25, "only {seen} statements found: does the test still read them?");
}

#[tokio::test]
async fn a_removed_member_may_nothing_whatever_the_token_says() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(directory.path());
    let (opened, file) = open(directory.path(), &redis).await;
    let context = TenantContext::for_tests("acme");
    let acceptance = Acceptance {
        tenant: Some(NewTenant { name: "Acme".into(), plan: "free".into() }),
        ..Acceptance::default()
    };
    opened.stores.scoped(&context).catalog().accept(&acceptance, SystemClock.now()).await.unwrap();
    for (subject, role, status) in [("ann", "VIEWER", "active"), ("bob", "ADMIN", "removed")] {
        sqlx::query(
            "INSERT INTO members (tenant_id, subject, role, status, created_at_us) VALUES ('acme', ?, ?, ?, 0)",
        )
        .bind(subject)
        .bind(role)
        .bind(status)
        .execute(&file)
        .await
        .unwrap();
    }
    for (subject, allowed) in
        [("ann", Role::Viewer.permissions()), ("bob", Permissions::NONE), ("eve", Role::Admin.permissions())]
    {
        let actor = Actor::User(subject.into());
        let found =
            opened.directory.permissions(context.tenant_id(), None, &actor, Role::Admin).await.unwrap();
        assert_eq!(found, allowed, "{subject}");
    }
}
