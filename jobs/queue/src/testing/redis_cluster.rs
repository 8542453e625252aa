//! A Redis Cluster of our own: three masters, each with a replica.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::redis_server::RedisServer;
use crate::redis::{FromRedisValue, Value};

/// Number of masters; each has one replica.
const MASTERS: usize = 3;
/// How long a node is silent until the others think that it failed.
const NODE_TIMEOUT_MS: &str = "1000";
const SLOTS: u16 = 16_384;

/// Six processes that end with this value.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and waits until all slots are served and every master has its replica.
    ///
    /// # Errors
    /// When `redis-server` is not installed, or the nodes do not find each other.
    pub fn start() -> Result<Self> {
        // Another process may take a free port before the server binds it.
        let mut started = Self::start_once();
        for _ in 0..4 {
            started = started.or_else(|_| Self::start_once());
        }
        started
    }

    fn start_once() -> Result<Self> {
        let nodes = (0..2 * MASTERS).map(|_| start_node()).collect::<Result<Vec<_>>>()?;
        let cluster = Self { nodes };
        for index in 0..cluster.nodes.len() {
            let bus = cluster.bus_port(index)?;
            cluster.ask::<()>(0, &["CLUSTER", "MEET", "127.0.0.1", &cluster.port(index), &bus])?;
        }
        for index in 0..MASTERS {
            let bound = |index: usize| usize::from(SLOTS) * index / MASTERS;
            let (first, last) = (bound(index).to_string(), (bound(index + 1) - 1).to_string());
            cluster.ask::<()>(index, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        for index in MASTERS..cluster.nodes.len() {
            let master: String = cluster.ask(index - MASTERS, &["CLUSTER", "MYID"])?;
            cluster.eventually("it follows its master", || {
                cluster.ask::<()>(index, &["CLUSTER", "REPLICATE", &master]).is_ok()
            })?;
        }
        cluster.eventually("the cluster is whole", || cluster.is_whole())?;
        Ok(cluster)
    }

    /// The URL to connect to: two of the nodes.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.port(0), self.port(1))
    }

    /// How many nodes there are: masters first, then the replica of each in the same order.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The URL of one node, to talk to it alone.
    #[must_use]
    pub fn node_url(&self, index: usize) -> String {
        self.nodes[index].url()
    }

    /// Asks one node.
    ///
    /// # Errors
    /// When it is not there, or answers with an error.
    pub fn ask<T: FromRedisValue>(&self, index: usize, command: &[&str]) -> Result<T> {
        Ok(self.nodes[index].endpoint().ask(command)?)
    }

    /// The node that is the master of `key`, according to most of the live nodes.
    ///
    /// # Errors
    /// When no live node answers.
    pub fn master_of(&self, key: &str) -> Result<usize> {
        for asked in 0..self.nodes.len() {
            let Ok(slot) = self.ask::<u16>(asked, &["CLUSTER", "KEYSLOT", key]) else { continue };
            let ranges: Vec<Value> = self.ask(asked, &["CLUSTER", "SLOTS"])?;
            for range in ranges {
                let (first, last, master): (u16, u16, Value) = first_three(range)?;
                if (first..=last).contains(&slot) {
                    let (_host, port, _id): (String, u16, Value) = first_three(master)?;
                    let at = (0..self.nodes.len()).find(|&index| self.port(index) == port.to_string());
                    return at.context("the master is none of ours");
                }
            }
        }
        bail!("no node knows the master of {key}")
    }

    /// Waits until the replica of master `index` has everything that the master has now.
    ///
    /// # Errors
    /// When that takes longer than 30 s.
    pub fn wait_for_replica(&self, index: usize) -> Result<()> {
        let wanted = self.offset(index, "master_repl_offset")?;
        self.eventually("the replica has everything", || {
            self.offset(index + MASTERS, "slave_repl_offset").is_ok_and(|offset| offset >= wanted)
        })
    }

    /// Kills a node with SIGKILL, in the middle of its work.
    ///
    /// # Errors
    /// When it is still there after 30 s.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        let info: String = self.ask(index, &["INFO", "server"])?;
        let process = field(&info, "process_id").context("no process id")?;
        std::process::Command::new("kill").args(["-9", process]).status()?;
        self.nodes[index].stop()
    }

    /// Waits for something to become true.
    ///
    /// # Errors
    /// When it is not after 30 s.
    pub fn eventually(&self, what: &str, condition: impl Fn() -> bool) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(30);
        while !condition() {
            if Instant::now() > patience {
                let nodes: String = self.ask(0, &["CLUSTER", "NODES"]).unwrap_or_default();
                bail!("still not: {what}\n{nodes}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn offset(&self, index: usize, name: &str) -> Result<u64> {
        let info: String = self.ask(index, &["INFO", "replication"])?;
        Ok(field(&info, name).context("no offset")?.parse()?)
    }

    fn is_whole(&self) -> bool {
        (0..self.nodes.len()).all(|index| {
            let info: String = self.ask(index, &["CLUSTER", "INFO"]).unwrap_or_default();
            let nodes: String = self.ask(index, &["CLUSTER", "NODES"]).unwrap_or_default();
            let linked: String = self.ask(index, &["INFO", "replication"]).unwrap_or_default();
            let replicates = index < MASTERS || field(&linked, "master_link_status") == Some("up");
            info.contains("cluster_state:ok")
                && nodes.lines().count() == self.nodes.len()
                && nodes.matches("slave").count() == MASTERS
                && replicates
        })
    }

    fn port(&self, index: usize) -> String {
        self.nodes[index].port().to_string()
    }

    fn bus_port(&self, index: usize) -> Result<String> {
        let found: Vec<String> = self.ask(index, &["CONFIG", "GET", "cluster-port"])?;
        found.into_iter().nth(1).context("no bus port")
    }
}

fn start_node() -> Result<RedisServer> {
    let bus = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    RedisServer::start(&[
        "--appendonly",
        "no",
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        NODE_TIMEOUT_MS,
        "--cluster-port",
        &bus,
        "--repl-diskless-sync-delay",
        "0",
    ])
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

fn first_three<A, B, C>(value: Value) -> Result<(A, B, C)>
where
    A: FromRedisValue,
    B: FromRedisValue,
    C: FromRedisValue,
{
    let Value::Array(mut parts) = value else { bail!("not a list") };
    parts.truncate(3);
    Ok(FromRedisValue::from_redis_value(Value::Array(parts))?)
}
