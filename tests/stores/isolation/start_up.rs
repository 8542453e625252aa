//! Stores that are not isolated do not open.

use std::sync::Arc;

use jobs::clock::SystemClock;
use jobs::error::report;
use stores::InvalidStores;
use stores::direct::DirectPostgres;
use tests::services::{Scratch, ServerUrls, migrated};

async fn refusal(urls: &ServerUrls) -> InvalidStores {
    let data = tempfile::tempdir().unwrap();
    match stores::open(&urls.stores(data.path()), Arc::new(SystemClock)).await {
        Ok(_) => panic!("the stores opened"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn the_owner_is_refused() {
    let urls = migrated().await;
    let refused = refusal(&ServerUrls { postgres: urls.postgres_admin.clone(), ..urls }).await;
    assert!(matches!(refused, InvalidStores::Setting { setting: "POSTGRES_URL", .. }), "{refused:?}");
    assert!(report(&refused).contains("owns the tables"), "{}", report(&refused));
}

#[tokio::test]
async fn one_role_for_both_is_refused() {
    let urls = migrated().await;
    let admin = urls.postgres_admin.into();
    let refused = stores::migrate(&admin, &admin).await.unwrap_err();
    assert!(report(&refused).contains("another role"), "{}", report(&refused));
}

#[tokio::test]
async fn an_empty_database_is_refused_with_the_command_to_run() {
    let scratch = Scratch::create().await;
    let refused = report(&refusal(&scratch.urls).await);
    assert!(refused.contains("tenantry migrate"), "{refused}");
    scratch.drop().await;
}

#[tokio::test]
async fn migrating_twice_at_once_is_migrating_once() {
    let scratch = Scratch::create().await;
    futures::future::join_all((0..4).map(|_| scratch.migrate())).await;
    scratch.migrate().await;
    let data = tempfile::tempdir().unwrap();
    stores::open(&scratch.urls.stores(data.path()), Arc::new(SystemClock)).await.unwrap();
    scratch.drop().await;
}

#[tokio::test]
async fn a_table_that_lost_its_isolation_is_refused() {
    let scratch = Scratch::create().await;
    scratch.migrate().await;
    let owner = DirectPostgres::connect(&scratch.urls.postgres_admin).await.unwrap();
    owner.execute("alter table documents no force row level security").await.unwrap();
    let refused = refusal(&scratch.urls).await;
    assert!(matches!(refused, InvalidStores::NotIsolated { .. }), "{refused:?}");
    assert!(report(&refused).contains("documents"), "{}", report(&refused));
    owner.close().await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_policy_that_shows_more_is_refused() {
    for wider in
        ["create policy leak on kbs using (true)", "alter policy tenant_rows on idempotency using (true)"]
    {
        let scratch = Scratch::create().await;
        scratch.migrate().await;
        let owner = DirectPostgres::connect(&scratch.urls.postgres_admin).await.unwrap();
        owner.execute(wider).await.unwrap();
        let refused = refusal(&scratch.urls).await;
        assert!(matches!(refused, InvalidStores::NotIsolated { .. }), "{wider}: {refused:?}");
        owner.close().await;
        scratch.drop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let urls = migrated().await;
    for (setting, urls) in [
        ("POSTGRES_URL", ServerUrls { postgres: "postgres://a:b@127.0.0.1:1/db".into(), ..urls.clone() }),
        ("MONGO_URL", ServerUrls { mongo: "mongodb://127.0.0.1:1/db".into(), ..urls.clone() }),
        ("NEO4J_URL", ServerUrls { neo4j: "bolt://127.0.0.1:1".into(), ..urls.clone() }),
        ("REDIS_URL", ServerUrls { redis: "redis://127.0.0.1:1/".into(), ..urls.clone() }),
    ] {
        let refused = refusal(&urls).await;
        assert!(report(&refused).starts_with(setting), "{}", report(&refused));
    }
}
