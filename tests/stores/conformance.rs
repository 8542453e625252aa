//! The stores on servers against the suite that every implementation has to pass.

use std::sync::Arc;

use jobs::clock::SystemClock;
use tests::services::migrated;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_on_servers_conform() {
    let urls = migrated().await;
    let data = tempfile::tempdir().unwrap();
    let config = urls.stores(data.path());
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    stores::conformance::exercise(&opened).await;

    // A second process on the same servers, while the first is still there.
    let again = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    stores::conformance::exercise(&again).await;
}
