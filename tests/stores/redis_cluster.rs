//! Embedded stores, and what may be lost on a Redis Cluster.

use std::sync::Arc;
use std::time::Duration;

use fair_queue::testing::RedisCluster;
use jobs::clock::SystemClock;
use jobs::tenant::TenantContext;
use stores::{Opened, StoresConfig};
use tests::wait::wait_for;

const MASTERS: usize = 3;
const LONG: Duration = Duration::from_secs(600);

async fn open(cluster: &RedisCluster, directory: &tempfile::TempDir) -> Opened {
    let config = StoresConfig::embedded(directory.path().join("data"), cluster.url().into());
    stores::open(&config, Arc::new(SystemClock)).await.unwrap()
}

/// Puts as many values as are needed for some to be on every master.
async fn fill(opened: &Opened, tenant: &str) {
    let cache = opened.stores.scoped(&TenantContext::for_tests(tenant)).cache();
    for number in 0..200 {
        cache.put(&format!("value-{number}"), "x", LONG).await.unwrap();
    }
}

/// How many values of a tenant each node has.
fn held(cluster: &RedisCluster, tenant: &str) -> Vec<usize> {
    let pattern = format!("t:{tenant}:*");
    let on = |node| cluster.ask::<Vec<String>>(node, &["KEYS", &pattern]).unwrap().len();
    (0..cluster.len()).map(on).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_stores_conform() {
    let (cluster, directory) = (RedisCluster::start().unwrap(), tempfile::tempdir().unwrap());
    stores::conformance::exercise(&open(&cluster, &directory).await).await;
}

/// Goal: nothing of a deleted tenant is left on any node, and a tenant with a similar id keeps everything.
/// Method: values on every master, before and after a replica has taken its master's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_values_are_cleared_on_every_node() {
    let (cluster, directory) = (RedisCluster::start().unwrap(), tempfile::tempdir().unwrap());
    let opened = open(&cluster, &directory).await;
    let cache = opened.stores.scoped(&TenantContext::for_tests("acme")).cache();
    fill(&opened, "acme").await;
    fill(&opened, "acme-2").await;
    assert!(held(&cluster, "acme")[..MASTERS].iter().all(|&values| values > 0), "it is on all of them");
    cache.clear().await.unwrap();
    let cleared = || match held(&cluster, "acme") {
        held if held.iter().all(|&values| values == 0) => Ok(()),
        held => Err(held),
    };
    assert_eq!(held(&cluster, "acme")[..MASTERS], [0; MASTERS]);
    wait_for("the replicas to follow", async || cleared()).await;
    assert_eq!(held(&cluster, "acme-2")[..MASTERS].iter().sum::<usize>(), 200);

    cluster.ask::<()>(MASTERS, &["CLUSTER", "FAILOVER"]).unwrap();
    cluster
        .eventually("the replica is master", || {
            cluster
                .ask::<String>(MASTERS, &["INFO", "replication"])
                .is_ok_and(|info| info.contains("role:master"))
        })
        .unwrap();
    fill(&opened, "acme").await;
    cache.clear().await.unwrap();
    wait_for("the replicas to follow", async || cleared()).await;
}
