//! A master of a Redis Cluster dies under load, and its replica takes over, without writes of the last moments:
//! replication does not wait.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fair_queue::testing::RedisCluster;
use rustix::process::{Pid, Signal, kill_process};
use tests::bed::TestTenant;
use tests::wait::wait_for;

use super::disturbed::{CAP, assert_none_given_up, under_load, working_on};
use super::site::Site;

/// Masters of the cluster; the replica of each is as many nodes further on.
const MASTERS: usize = 3;
/// How long a replica hears nothing before its master dies: shorter than the others need to think that it failed.
const DEAF: Duration = Duration::from_millis(700);

/// What a node says of itself.
fn says<T: FromStr<Err: Debug>>(cluster: &RedisCluster, node: usize, field: &str) -> T {
    let said: String = cluster.ask(node, &["INFO"]).unwrap();
    let value = said.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    value.trim().parse().unwrap()
}

fn process(cluster: &RedisCluster, node: usize) -> Pid {
    Pid::from_raw(says(cluster, node, "process_id")).unwrap()
}

/// How much a node has written, in bytes of what replicas are sent.
fn written(cluster: &RedisCluster, node: usize) -> u64 {
    says(cluster, node, "master_repl_offset")
}

/// Kills `victim` under load and waits until all slots are served again. Returns how much was written that its replica
/// did not get.
async fn dies(
    site: &Site,
    tenant: &TestTenant,
    cluster: &Arc<RedisCluster>,
    (victim, loses): (usize, bool),
) -> u64 {
    let (master, replica) = (process(cluster, victim), process(cluster, victim + MASTERS));
    let lost = Arc::<AtomicU64>::default();
    let begin = || {
        if !loses {
            kill_process(master, Signal::KILL).unwrap();
            return;
        }
        // It would read on from its socket what the master has sent, so that ends first.
        kill_process(replica, Signal::STOP).unwrap();
        cluster.ask::<u64>(victim, &["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
        let (before, lost, cluster) = (written(cluster, victim), Arc::clone(&lost), Arc::clone(cluster));
        tokio::spawn(async move {
            tokio::time::sleep(DEAF).await;
            lost.store(written(&cluster, victim) - before, Ordering::SeqCst);
            kill_process(master, Signal::KILL).unwrap();
            kill_process(replica, Signal::CONT).unwrap();
        });
    };
    let end = async || {
        wait_for("the replica to take over", async || {
            let role: Vec<fair_queue::redis::Value> =
                cluster.ask(victim + MASTERS, &["ROLE"]).map_err(|error| error.to_string())?;
            let is_master = format!("{:?}", role.first()).contains("master");
            let state: String =
                cluster.ask(MASTERS, &["CLUSTER", "INFO"]).map_err(|error| error.to_string())?;
            if is_master && state.contains("cluster_state:ok") {
                Ok(())
            } else {
                Err(format!("{role:?} {state}"))
            }
        })
        .await;
    };
    let what = if loses { "A master dies with its last writes" } else { "A master dies" };
    under_load(site, what, tenant, (begin, end)).await;
    lost.load(Ordering::SeqCst)
}

/// The master that has the tenant's part of the queue.
fn master_of(site: &Site, tenant: &TestTenant, cluster: &RedisCluster) -> usize {
    let shard = site.bed.queue().home(&tenant.id.parse().unwrap());
    cluster.master_of(&format!("{}:{{q.{shard}}}:e", site.bed.queue_prefix())).unwrap()
}

/// What else is in Redis works on as well.
async fn assert_the_rest_works(site: &Site, tenant: &TestTenant) {
    wait_for("both workers to be listed", async || {
        let listed = site.bed.operator().get("/api/v1/workers").await;
        let count = listed.body["workers"].as_array().map_or(0, Vec::len);
        // The system's own is one as well.
        if count >= 3 { Ok(()) } else { Err(listed) }
    })
    .await;
    let activity = tenant.http.get(&format!("/api/v1/tenants/{}/activity", tenant.id)).await;
    assert_eq!(activity.status, 200, "{activity:?}");
    let ready = site.bed.operator().get("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

/// No job was given up. A job whose claim was lost with a master may run at another worker until the first one hears of
/// it: replication does not wait, so that can be any claim of the master's last moments.
async fn assert_done(site: &Site, tenant: &TestTenant) {
    assert_none_given_up(site, tenant).await;
    site.assert_at_once(tenant, 2 * CAP);
}

/// Goal: work goes on at the replica. Then another master dies, which has no jobs of the tenant but other things.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over() {
    let cluster = Arc::new(RedisCluster::start().unwrap());
    let (site, tenant, _workers) = working_on(Site::on_cluster(&cluster).await).await;
    let victim = master_of(&site, &tenant, &cluster);
    dies(&site, &tenant, &cluster, (victim, false)).await;
    assert_the_rest_works(&site, &tenant).await;
    let key = format!("workers:{{{}}}:seen", site.bed.queue_prefix());
    let others = cluster.master_of(&key).unwrap();
    let other = if others < MASTERS && others != victim { others } else { (victim + 1) % MASTERS };
    dies(&site, &tenant, &cluster, (other, false)).await;
    assert_the_rest_works(&site, &tenant).await;
    assert_done(&site, &tenant).await;
}

/// Goal: what the master had taken and its replica never heard of is done all the same: jobs that were pushed, and the
/// ends of jobs.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_without_the_last_writes() {
    let cluster = Arc::new(RedisCluster::start().unwrap());
    let (site, tenant, _workers) = working_on(Site::on_cluster(&cluster).await).await;
    let victim = master_of(&site, &tenant, &cluster);
    let lost = dies(&site, &tenant, &cluster, (victim, true)).await;
    eprintln!("{lost} bytes of writes were lost");
    assert!(lost > 0);
    assert_the_rest_works(&site, &tenant).await;
    assert_done(&site, &tenant).await;
}
