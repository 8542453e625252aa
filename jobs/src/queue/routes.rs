//! Which master of a cluster has which shard, as far as we know.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::select_ok;
use redis::{Client, ConnectionAddr, ConnectionInfo, Value};

use super::address::RedisAddress;
use super::connection::{Connection, Resend};
use super::error::QueueError;
use super::shards::Shards;
use super::slot::slot;

/// How long one node may take to say what the cluster looks like.
const ASK: Duration = Duration::from_secs(1);

/// Host and port.
pub(super) type Node = (String, u16);

/// Shared by all connections to one cluster.
#[derive(Debug)]
pub(super) struct Routes {
    template: ConnectionInfo,
    seeds: Vec<Node>,
    slots: Vec<u16>,
    masters: Mutex<Vec<Option<Node>>>,
    /// When the cluster was asked last. Held while it is asked, so that it is asked once.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Routes {
    pub(super) fn new(address: &RedisAddress, shards: &Shards) -> Self {
        let slots: Vec<u16> = shards.all().map(|shard| slot(shards.prefix(shard))).collect();
        let masters = Mutex::new(vec![None; slots.len()]);
        let seeds = address.nodes().iter().filter_map(node_of).collect();
        Self {
            template: address.nodes()[0].clone(),
            seeds,
            slots,
            masters,
            asked: tokio::sync::Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Node>>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn master(&self, shard: u16) -> Option<Node> {
        self.lock()[usize::from(shard)].clone()
    }

    /// The shards that are where `shard` is, itself included.
    pub(super) fn together_with(&self, shard: u16) -> Vec<u16> {
        let masters = self.lock();
        let node = &masters[usize::from(shard)];
        masters
            .iter()
            .zip(0..)
            .filter(|(other, at)| *at == shard || *other == node)
            .map(|(_, at)| at)
            .collect()
    }

    /// A node said that `shard` has moved to another.
    pub(super) fn moved(&self, shard: u16, to: Node) {
        self.lock()[usize::from(shard)] = Some(to);
    }

    pub(super) fn client(&self, (host, port): &Node) -> Result<Client, QueueError> {
        let (host, port) = (host.clone(), *port);
        let address = match self.template.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Ok(Client::open(self.template.clone().set_addr(address))?)
    }

    /// Asks the nodes that we know of who has what, unless somebody did since `before`.
    pub(super) async fn refresh(&self, before: Instant) -> Result<(), QueueError> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked > before) {
            return Ok(());
        }
        let mut known: BTreeSet<Node> = self.lock().iter().flatten().cloned().collect();
        known.extend(self.seeds.iter().cloned());
        let masters = select_ok(known.iter().map(|node| Box::pin(self.ask(node)))).await?.0;
        *asked = Some(Instant::now());
        *self.lock() = masters;
        Ok(())
    }

    async fn ask(&self, node: &Node) -> Result<Vec<Option<Node>>, QueueError> {
        let connection = Connection::new(self.client(node)?, ASK);
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let ranges: Vec<Value> = connection.query_within(&command, Resend::Never, ASK).await?;
        let ranges: Vec<(u16, u16, Node)> =
            ranges.iter().filter_map(|range| read_range(range, node)).collect();
        let master = |slot: &u16| {
            ranges
                .iter()
                .find(|(first, last, _)| (first..=last).contains(&slot))
                .map(|(_, _, node)| node.clone())
        };
        let masters: Vec<_> = self.slots.iter().map(master).collect();
        if masters.iter().any(Option::is_none) { Err(QueueError::SlotWithoutMaster) } else { Ok(masters) }
    }
}

fn node_of(node: &ConnectionInfo) -> Option<Node> {
    match node.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host.clone(), *port))
        }
        _ => None,
    }
}

/// First and last slot, and their master. A node that does not know its own name leaves it out.
fn read_range(range: &Value, asked: &Node) -> Option<(u16, u16, Node)> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
        _ => String::new(),
    };
    let host = if host.is_empty() || host == "?" { asked.0.clone() } else { host };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, (host, u16::try_from(*port).ok()?)))
}

/// The node in `MOVED slot host:port`.
pub(super) fn redirect(error: &redis::RedisError, asked: &Node) -> Option<Node> {
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &asked.0 } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}
