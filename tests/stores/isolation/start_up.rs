//! Stores that are not isolated do not open.

use std::sync::Arc;

use jobs::clock::SystemClock;
use jobs::error::report;
use stores::InvalidStores;
use stores::direct::DirectPostgres;
use tests::services::{ServerUrls, migrated};

async fn refusal(urls: &ServerUrls) -> InvalidStores {
    let data = tempfile::tempdir().unwrap();
    match stores::open(&urls.stores(data.path()), Arc::new(SystemClock)).await {
        Ok(_) => panic!("the stores opened"),
        Err(refused) => refused,
    }
}

/// The same server, another database.
fn in_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

/// A database of its own for one test.
pub(super) struct Scratch {
    owner: DirectPostgres,
    name: String,
    pub(super) urls: ServerUrls,
}

impl Scratch {
    pub(super) async fn create() -> Self {
        let urls = migrated().await;
        let name = format!("scratch_{}", uuid::Uuid::now_v7().simple());
        let owner = DirectPostgres::connect(&urls.postgres_admin).await.unwrap();
        owner.execute_alone(&format!("create database {name}")).await.unwrap();
        let urls = ServerUrls {
            postgres: in_database(&urls.postgres, &name),
            postgres_admin: in_database(&urls.postgres_admin, &name),
            ..urls
        };
        Self { owner, name, urls }
    }

    async fn migrate(&self) {
        let (admin, app) = (self.urls.postgres_admin.clone().into(), self.urls.postgres.clone().into());
        stores::migrate(&admin, &app).await.unwrap();
    }

    pub(super) async fn drop(self) {
        // As good as it goes: the owner may not end connections of others that are still closing.
        let _ = self.owner.execute_alone(&format!("drop database {}", self.name)).await;
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
