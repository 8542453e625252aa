//! Which server has a shard, and talking to the masters of a Redis Cluster: one plain connection to each.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::select_ok;
use redis::{Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, Value};

use crate::error::QueueError;
use crate::redis::address::RedisAddress;
use crate::redis::connection::{Connection, Resend, is_broken};
use crate::shards::{Shards, slot};

/// The servers behind a queue.
#[derive(Debug)]
pub(crate) struct Servers {
    kind: Kind,
    deadline: Duration,
}

#[derive(Debug)]
enum Kind {
    One { client: Box<Client>, connection: Box<Connection>, shards: u16 },
    Cluster(Cluster),
}

impl Servers {
    /// Connects lazily, at the first query.
    pub(crate) fn new(
        address: &RedisAddress,
        shards: &Shards,
        deadline: Duration,
    ) -> Result<Self, QueueError> {
        let kind = if address.is_cluster() {
            Kind::Cluster(Cluster::new(Arc::new(Routes::new(address, shards)), deadline))
        } else {
            let client = Box::new(Client::open(address.nodes()[0].clone()).map_err(|_| QueueError::Url)?);
            let connection = Box::new(Connection::new(client.as_ref().clone(), deadline));
            Kind::One { client, connection, shards: shards.count() }
        };
        Ok(Self { kind, deadline })
    }

    /// The same servers on connections of their own, for calls that block them.
    pub(crate) fn separate(&self) -> Self {
        let kind = match &self.kind {
            Kind::One { client, shards, .. } => Kind::One {
                client: client.clone(),
                connection: Box::new(Connection::new(client.as_ref().clone(), self.deadline)),
                shards: *shards,
            },
            Kind::Cluster(cluster) => Kind::Cluster(cluster.separate()),
        };
        Self { kind, deadline: self.deadline }
    }

    /// Sends one command to the server that has `shard`, within the deadline.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        shard: u16,
        command: &Cmd,
        resend: Resend,
    ) -> Result<T, QueueError> {
        self.query_within(shard, command, resend, self.deadline).await
    }

    /// Sends one command that may keep the server busy, or waiting, for up to `deadline`.
    pub(crate) async fn query_within<T: FromRedisValue>(
        &self,
        shard: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        match &self.kind {
            Kind::One { connection, .. } => connection.query_within(command, resend, deadline).await,
            Kind::Cluster(cluster) => cluster.query_within(shard, command, resend, deadline).await,
        }
    }

    /// The shards that are on the same server as `shard`, itself included.
    pub(crate) fn together_with(&self, shard: u16) -> Vec<u16> {
        match &self.kind {
            Kind::One { shards, .. } => (0..*shards).collect(),
            Kind::Cluster(cluster) => cluster.together_with(shard),
        }
    }

    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }
}

/// The pause before the cluster is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How often in a row a command follows its shard without a pause.
const HOPS: u32 = 3;

/// Connections to the masters that have our shards. A shard's keys share a hash tag, so each call concerns one node.
#[derive(Debug)]
pub(crate) struct Cluster {
    routes: Arc<Routes>,
    nodes: Mutex<HashMap<Node, Arc<Connection>>>,
    deadline: Duration,
}

/// How to recover from an error.
enum Remedy {
    /// The command was not carried out, and the shard is at this node.
    Go(Node),
    /// The command was not carried out; the cluster may be in the middle of a failover.
    Again,
    /// The connection failed, so it is unknown whether the command was executed.
    Lost,
    /// The command itself is wrong; resending it does not help.
    None,
}

impl Cluster {
    pub(crate) fn new(routes: Arc<Routes>, deadline: Duration) -> Self {
        Self { routes, nodes: Mutex::default(), deadline }
    }

    pub(crate) fn separate(&self) -> Self {
        Self::new(Arc::clone(&self.routes), self.deadline)
    }

    pub(crate) fn together_with(&self, shard: u16) -> Vec<u16> {
        self.routes.together_with(shard)
    }

    /// Follows the shard to whichever node has it, through a failover if need be, until the deadline.
    pub(crate) async fn query_within<T: FromRedisValue>(
        &self,
        shard: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let mut last = None;
        let attempts = self.attempts(shard, command, resend, deadline, &mut last);
        match tokio::time::timeout(deadline, attempts).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(last.unwrap_or(QueueError::Deadline(deadline))),
        }
    }

    async fn attempts<T: FromRedisValue>(
        &self,
        shard: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
        last: &mut Option<QueueError>,
    ) -> Result<T, QueueError> {
        let (mut pause, mut hops) = (FIRST_PAUSE, 0);
        // A node that vanished silently must leave enough time to try the node that replaces it.
        let patience = if resend == Resend::Safe { deadline / 2 } else { deadline };
        loop {
            let asked = Instant::now();
            let error = match self.routes.master(shard) {
                None => QueueError::SlotWithoutMaster,
                Some(node) => {
                    let connection = self.connection(&node)?;
                    match connection.query_within(command, resend, patience).await {
                        Ok(answer) => return Ok(answer),
                        Err(error) => match remedy(&error, &node) {
                            Remedy::None => return Err(error),
                            // Two nodes that name each other must not keep us running.
                            Remedy::Go(node) if hops < HOPS => {
                                hops += 1;
                                self.routes.moved(shard, node);
                                continue;
                            }
                            Remedy::Lost if resend == Resend::Never => {
                                self.routes.refresh(asked).await.ok();
                                return Err(error);
                            }
                            Remedy::Lost | Remedy::Again | Remedy::Go(_) => error,
                        },
                    }
                }
            };
            *last = Some(error);
            if self.routes.refresh(asked).await.is_err() || pause > FIRST_PAUSE {
                tokio::time::sleep(pause).await;
            }
            (pause, hops) = ((pause * 2).min(LONGEST_PAUSE), 0);
        }
    }

    fn connection(&self, node: &Node) -> Result<Arc<Connection>, QueueError> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = nodes.get(node) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::new(self.routes.client(node)?, self.deadline));
        nodes.insert(node.clone(), Arc::clone(&connection));
        Ok(connection)
    }
}

fn remedy(error: &QueueError, node: &Node) -> Remedy {
    match error {
        QueueError::Deadline(_) => Remedy::Lost,
        QueueError::Redis(error) => match error.code() {
            Some("MOVED") => redirect(error, node).map_or(Remedy::Again, Remedy::Go),
            // A migrating slot is on two nodes, and the scripts are correct on neither. They name the shard's prefix
            // as their key, which never exists: the old node therefore answers with a redirect from the first migrated
            // key to the last. We wait for the end of the migration instead of following the redirect.
            Some("ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "READONLY" | "MASTERDOWN" | "LOADING") => Remedy::Again,
            _ if is_broken(error) => Remedy::Lost,
            _ => Remedy::None,
        },
        _ => Remedy::None,
    }
}

/// Timeout for one node's answer with the slot map.
const ASK: Duration = Duration::from_secs(1);

/// Host and port.
pub(crate) type Node = (String, u16);

/// Shared by all connections to one cluster.
#[derive(Debug)]
pub(crate) struct Routes {
    template: ConnectionInfo,
    seeds: Vec<Node>,
    slots: Vec<u16>,
    masters: Mutex<Vec<Option<Node>>>,
    /// When the cluster was asked last. Held while it is asked, so that it is asked once.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Routes {
    pub(crate) fn new(address: &RedisAddress, shards: &Shards) -> Self {
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

    pub(crate) fn master(&self, shard: u16) -> Option<Node> {
        self.lock()[usize::from(shard)].clone()
    }

    /// The shards that are where `shard` is, itself included.
    pub(crate) fn together_with(&self, shard: u16) -> Vec<u16> {
        let masters = self.lock();
        let node = &masters[usize::from(shard)];
        masters
            .iter()
            .zip(0..)
            .filter(|(other, at)| *at == shard || *other == node)
            .map(|(_, at)| at)
            .collect()
    }

    /// Records a redirect: `shard` is on another node now.
    pub(crate) fn moved(&self, shard: u16, to: Node) {
        self.lock()[usize::from(shard)] = Some(to);
    }

    pub(crate) fn client(&self, (host, port): &Node) -> Result<Client, QueueError> {
        let (host, port) = (host.clone(), *port);
        let address = match self.template.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Ok(Client::open(self.template.clone().set_addr(address))?)
    }

    /// Asks the known nodes for the slot map, unless another task has refreshed it since `before`.
    pub(crate) async fn refresh(&self, before: Instant) -> Result<(), QueueError> {
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
pub(crate) fn redirect(error: &redis::RedisError, asked: &Node) -> Option<Node> {
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &asked.0 } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}
