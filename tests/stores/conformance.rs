//! The stores on each supported set of servers against the suite that every implementation has to pass.

use std::path::Path;
use std::sync::Arc;

use jobs::clock::SystemClock;
use stores::StoresConfig;
use tests::services::{ServerUrls, migrated};

async fn conform(config: impl Fn(&ServerUrls, &Path) -> StoresConfig) {
    let urls = migrated().await;
    let data = tempfile::tempdir().unwrap();
    let config = config(&urls, data.path());
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    stores::conformance::exercise(&opened).await;

    // A second process on the same servers, while the first is still there.
    let again = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    stores::conformance::exercise(&again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_on_servers_conform() {
    conform(ServerUrls::stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_on_redis_and_postgres_alone_conform() {
    conform(ServerUrls::stores_on_postgres_alone).await;
}
