//! The embedded stores against the suite that every implementation has to pass.

use std::sync::Arc;

use jobs::clock::SystemClock;
use jobs::queue::RedisServer;
use stores::{Backends, StoresConfig, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_stores_conform() {
    let data = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(data.path()).unwrap();
    let config = StoresConfig {
        backends: Backends::Embedded,
        blobs_url: None,
        data_dir: data.path().join("data"),
        redis_url: redis.url().into(),
    };
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    conformance::exercise(&opened).await;

    // A second process on the same files, while the first is still there.
    let again = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    conformance::exercise(&again).await;
}
