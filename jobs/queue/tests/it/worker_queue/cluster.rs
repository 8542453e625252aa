//! Three masters and three replicas.

use std::collections::BTreeSet;
use std::time::Duration;

use fair_queue::testing::RedisCluster;
use fair_queue::{Flow, Kept, NewJob, PartitionShare, Queue, QueueConfig, QueueError, Verdict, reshard};

use super::site::{Ran, Site, Work, ping, quick, until};
use crate::support::{config_at, tenant};

fn config(cluster: &RedisCluster) -> QueueConfig {
    let config = quick(config_at(cluster.url()));
    assert_eq!(config.shards, 16, "a queue on a cluster has several shards");
    config
}

fn names() -> Vec<String> {
    (0..40).map(|n| format!("tenant-{n}")).collect()
}

fn worker(site: &Site, ran: &Ran) -> Work {
    let log = ran.clone();
    site.work(4, move |job| {
        let log = log.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            log.add(&job);
            Ok(Verdict::Completed.into())
        }
    })
}

async fn push(site: &Site, count: u32) -> Vec<NewJob> {
    let names = names();
    let jobs: Vec<_> = (0..count).map(|n| ping(&names[n as usize % names.len()], n)).collect();
    // What was not answered is pushed again: an id that is there already is left alone.
    until("all are accepted", async || site.queue.push(&jobs).await.is_ok()).await;
    jobs
}

/// Every job ran, none is left over, and none ended anywhere but as completed.
async fn all_done(site: &Site, ran: &Ran, jobs: &[NewJob]) {
    for name in names() {
        until("nothing is open", async || {
            site.queue.stats(&tenant(&name)).await.is_ok_and(|stats| stats.open() == 0)
        })
        .await;
        let stats = site.queue.stats(&tenant(&name)).await.unwrap();
        assert_eq!((stats.discarded, stats.quarantined), (0, 0), "{name}");
    }
    let ran: BTreeSet<_> = ran.list().into_iter().collect();
    let pushed: BTreeSet<_> = jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(pushed.difference(&ran).count(), 0, "some never ran");
}

/// Cases 35 and 36: every operation touches one slot, on any node. Case 28: the connections to all nodes are cut, and
/// every master has lost the functions.
#[tokio::test]
async fn case_28_35_36_a_cluster_is_used_like_a_server() {
    let cluster = RedisCluster::start().unwrap();
    let site = Site::new(config(&cluster)).await;
    let ran = Ran::default();
    let work = worker(&site, &ran);
    let mut jobs = push(&site, 400).await;
    for index in 0..3 {
        cluster.ask::<()>(index, &["FUNCTION", "FLUSH"]).unwrap();
        cluster.ask::<()>(index, &["SCRIPT", "FLUSH"]).unwrap();
        cluster.ask::<i64>(index, &["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    }
    jobs.extend(push(&site, 400).await);
    all_done(&site, &ran, &jobs).await;
    work.stop().await;

    let paused = PartitionShare { paused: Some(true), ..PartitionShare::default() };
    for name in names() {
        let (tenant, job) = (tenant(&name), ping(&name, 0));
        site.queue.partition_set(&tenant, paused.clone()).await.unwrap();
        site.queue.push(std::slice::from_ref(&job)).await.unwrap();
        assert!(site.queue.lookup(&tenant, job.id).await.unwrap().is_some());
        assert!(site.queue.explain(&tenant, job.id).await.unwrap().is_some());
        site.queue.cancel(&tenant, job.id).await.unwrap();
        assert!(site.queue.kept(&tenant, Kept::Discarded, 10).await.unwrap().is_empty());
        assert_eq!(site.queue.stats(&tenant).await.unwrap().open(), 0);
    }
    site.queue.queue_set("test", Flow::Paused).await.unwrap();
    assert_eq!(site.queue.skills().await.unwrap().len(), 1);
}

/// One URL of one node would find a part of the queue only.
#[tokio::test]
async fn a_node_that_is_named_as_a_server_is_refused() {
    let cluster = RedisCluster::start().unwrap();
    let error = Queue::connect(config_at(cluster.node_url(0))).await.unwrap_err();
    assert!(matches!(error, QueueError::ClusterNode), "{error}");
    assert!(error.to_string().contains("redis+cluster://"), "{error}");
}

/// Case 28: a master is killed, its replica takes over, the worker goes on by itself.
#[tokio::test]
async fn case_28_a_master_that_is_killed_loses_no_job_and_stops_no_worker() {
    let mut cluster = RedisCluster::start().unwrap();
    let site = Site::new(config(&cluster)).await;
    let ran = Ran::default();
    let mut jobs = push(&site, 1_500).await;
    let victim = cluster.master_of(&format!("{}:{{q.0}}", site.queue.config().prefix)).unwrap();
    // The promise of a push holds as far as replication got; what runs meanwhile may run twice.
    cluster.wait_for_replica(victim).unwrap();
    let work = worker(&site, &ran);
    until("it is busy", async || ran.list().len() > 100).await;
    cluster.kill(victim).unwrap();
    jobs.extend(push(&site, 400).await);
    all_done(&site, &ran, &jobs).await;
    assert!(cluster.master_of(&format!("{}:{{q.0}}", site.queue.config().prefix)).unwrap() != victim);
    let polled = work.queue.observer().last_poll();
    until("it polls", async || work.queue.observer().last_poll() > polled).await;
    work.stop().await;
}

/// Case 28: a master and its replica change places.
#[tokio::test]
async fn case_28_a_planned_failover_loses_no_job_and_stops_no_worker() {
    let cluster = RedisCluster::start().unwrap();
    let site = Site::new(config(&cluster)).await;
    let ran = Ran::default();
    let work = worker(&site, &ran);
    let mut jobs = push(&site, 800).await;
    for replica in 3..6 {
        cluster.ask::<()>(replica, &["CLUSTER", "FAILOVER"]).unwrap();
        jobs.extend(push(&site, 200).await);
    }
    all_done(&site, &ran, &jobs).await;
    work.stop().await;
}

/// A migrating slot is on two nodes: its shard waits, and nothing is ever split.
#[tokio::test]
async fn a_slot_on_the_move_is_waited_for() {
    let cluster = RedisCluster::start().unwrap();
    let site = Site::new(config(&cluster)).await;
    let ran = Ran::default();
    let name = names().into_iter().find(|name| site.queue.home(&tenant(name)) == 0).unwrap();
    let before = ping(&name, 0);
    site.queue.push(std::slice::from_ref(&before)).await.unwrap();
    let key = format!("{}:{{q.0}}", site.queue.config().prefix);
    let from = cluster.master_of(&key).unwrap();
    let to = (from + 1) % 3;
    let slot: u16 = cluster.ask(from, &["CLUSTER", "KEYSLOT", &key]).unwrap();
    let (slot, port) = (slot.to_string(), cluster.node_url(to).rsplit_once(':').unwrap().1.to_owned());
    let ids: Vec<String> = [from, to].map(|index| cluster.ask(index, &["CLUSTER", "MYID"]).unwrap()).into();
    cluster.ask::<()>(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]).unwrap();
    cluster.ask::<()>(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]).unwrap();

    let meanwhile = ping(&name, 1);
    let error = site.queue.push(std::slice::from_ref(&meanwhile)).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    loop {
        let keys: Vec<String> = cluster.ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).unwrap();
        if keys.is_empty() {
            break;
        }
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        cluster.ask::<()>(from, &migrate).unwrap();
    }
    for index in [to, from, 3 - from - to] {
        cluster.ask::<()>(index, &["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]).unwrap();
    }
    until("it is accepted", async || site.queue.push(std::slice::from_ref(&meanwhile)).await.is_ok()).await;
    let work = worker(&site, &ran);
    until("both ran", async || ran.list().len() == 2).await;
    assert_eq!(ran.list(), [before.id.to_string(), meanwhile.id.to_string()]);
    work.stop().await;
}

/// The command that changes the number of shards finds everything on whichever master it is.
#[tokio::test]
async fn the_number_of_shards_can_be_changed_on_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let site = Site::new(config(&cluster)).await;
    let jobs = push(&site, 400).await;
    let done = reshard(site.queue.config().clone(), 5).await.unwrap();
    assert_eq!((done.from, done.to), (16, 5));
    assert!(site.queue.push(&jobs[..1]).await.is_err(), "the old number is refused");
    let site = Site::new(QueueConfig { shards: 5, ..site.queue.config().clone() }).await;
    let ran = Ran::default();
    let work = worker(&site, &ran);
    all_done(&site, &ran, &jobs).await;
    assert_eq!(ran.list().len(), jobs.len(), "each ran once");
    work.stop().await;
}
