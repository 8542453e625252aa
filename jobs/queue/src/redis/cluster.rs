//! Talking to the masters of a Redis Cluster: one plain connection to each, and a map of who has which slots.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::select_ok;
use redis::{Client, ConnectionAddr, ConnectionInfo, FromRedisValue, Value};

use crate::error::QueueError;
use crate::redis::address::RedisAddress;
use crate::redis::connection::{Call, Connection, Resend, is_broken};
use crate::redis::slots::{Node, SlotMap, node_of, redirect};

/// The pause before the cluster is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How often in a row a command follows its slot without a pause.
const HOPS: u32 = 3;
/// Timeout for one node's answer with the slot map.
const ASK: Duration = Duration::from_secs(1);

/// What to do about a slot that is on its way from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Migrating {
    /// Ask the new node for a key that the old one no longer has: right for commands with one key.
    Follow,
    /// Wait until all keys are on one node. The queue's functions name their shard's prefix as their key, which never
    /// exists: the old node therefore answers with a redirect from the first migrated key to the last, and the function
    /// would be right on neither node.
    Wait,
}

/// Connections to the masters.
#[derive(Debug)]
pub(super) struct Cluster {
    routes: Arc<Routes>,
    nodes: Mutex<HashMap<Node, Arc<Connection>>>,
    deadline: Duration,
    migrating: Migrating,
}

/// How to recover from an error.
enum Remedy {
    /// The command was not carried out, and the slot is at this node.
    Go(Node),
    /// The command was not carried out; if this node does not have the key either, it is nowhere.
    Ask(Node),
    /// The command was not carried out; the cluster may be in the middle of a failover.
    Again,
    /// The connection failed, so it is unknown whether the command was executed.
    Lost,
    /// The command itself is wrong; resending it does not help.
    None,
}

impl Cluster {
    /// Connects lazily, at the first query.
    pub(super) fn new(address: &RedisAddress, deadline: Duration, migrating: Migrating) -> Self {
        Self { routes: Arc::new(Routes::new(address)), nodes: Mutex::default(), deadline, migrating }
    }

    /// The same cluster on connections of their own.
    pub(super) fn separate(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            nodes: Mutex::default(),
            deadline: self.deadline,
            migrating: self.migrating,
        }
    }

    /// The node that has `slot`, as far as known.
    pub(super) fn master(&self, slot: u16) -> Option<Node> {
        self.routes.map().master(slot).cloned()
    }

    /// The nodes that have slots, by what the cluster says now.
    pub(super) async fn masters(&self) -> Result<BTreeSet<Node>, QueueError> {
        self.routes.refresh(Instant::now(), None).await?;
        Ok(self.routes.map().masters())
    }

    /// The nodes that were named in the URL.
    pub(super) fn seeds(&self) -> Vec<Client> {
        self.routes.seeds.iter().filter_map(|node| self.routes.client(node).ok()).collect()
    }

    /// Follows the slot to whichever node has it, through a failover if need be, until the deadline.
    pub(super) async fn query_within<T: FromRedisValue>(
        &self,
        slot: u16,
        call: Call<'_>,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let mut last = None;
        let attempts = self.attempts(slot, call, deadline, &mut last);
        match tokio::time::timeout(deadline, attempts).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(last.unwrap_or(QueueError::Deadline(deadline))),
        }
    }

    async fn attempts<T: FromRedisValue>(
        &self,
        slot: u16,
        call: Call<'_>,
        deadline: Duration,
        last: &mut Option<QueueError>,
    ) -> Result<T, QueueError> {
        let (mut pause, mut hops, mut detour) = (FIRST_PAUSE, 0, None);
        // A node that vanished silently must leave enough time to try the node that replaces it.
        let patience = if call.resend == Resend::Safe { deadline / 2 } else { deadline };
        loop {
            let asked = Instant::now();
            let asking = detour.is_some();
            let error = match detour.take().or_else(|| self.master(slot)) {
                None => QueueError::SlotWithoutMaster,
                Some(node) => {
                    let sent = self.connection(&node)?.query_within(Call { asking, ..call }, patience).await;
                    let error = match sent {
                        Ok(answer) => return Ok(answer),
                        Err(error) => error,
                    };
                    match remedy(&error, &node) {
                        Remedy::None => return Err(error),
                        // Two nodes that name each other must not keep us running.
                        Remedy::Go(node) if hops < HOPS => {
                            hops += 1;
                            self.routes.map().moved(slot, node);
                            continue;
                        }
                        Remedy::Ask(node) if hops < HOPS && self.migrating == Migrating::Follow => {
                            hops += 1;
                            detour = Some(node);
                            continue;
                        }
                        Remedy::Lost if call.resend == Resend::Never => {
                            self.routes.refresh(asked, Some(slot)).await.ok();
                            return Err(error);
                        }
                        Remedy::Lost | Remedy::Again | Remedy::Go(_) | Remedy::Ask(_) => error,
                    }
                }
            };
            let (error, is_away) = self.look_again(slot, asked, error).await;
            *last = Some(error);
            if is_away || pause > FIRST_PAUSE {
                tokio::time::sleep(pause).await;
            }
            (pause, hops) = ((pause * 2).min(LONGEST_PAUSE), 0);
        }
    }

    /// Asks the cluster where `slot` is after `error`. What to tell the caller if time runs out, and whether no node
    /// answered.
    async fn look_again(&self, slot: u16, asked: Instant, error: QueueError) -> (QueueError, bool) {
        match (self.routes.refresh(asked, Some(slot)).await, error) {
            // It has no master only because no node could be asked.
            (Err(why), QueueError::SlotWithoutMaster) => (why, true),
            (refreshed, error) => (error, refreshed.is_err()),
        }
    }

    pub(super) fn connection(&self, node: &Node) -> Result<Arc<Connection>, QueueError> {
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
            Some("ASK") => redirect(error, node).map_or(Remedy::Again, Remedy::Ask),
            Some("TRYAGAIN" | "CLUSTERDOWN" | "READONLY" | "MASTERDOWN" | "LOADING") => Remedy::Again,
            _ if is_broken(error) => Remedy::Lost,
            _ => Remedy::None,
        },
        _ => Remedy::None,
    }
}

/// Which node has which slots. Shared by all connections to one cluster.
#[derive(Debug)]
struct Routes {
    template: ConnectionInfo,
    seeds: Vec<Node>,
    map: Mutex<SlotMap>,
    /// When the cluster was asked last. Held while it is asked, so that it is asked once.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Routes {
    fn new(address: &RedisAddress) -> Self {
        Self {
            template: address.nodes()[0].clone(),
            seeds: address.nodes().iter().filter_map(node_of).collect(),
            map: Mutex::default(),
            asked: tokio::sync::Mutex::new(None),
        }
    }

    fn map(&self) -> MutexGuard<'_, SlotMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, (host, port): &Node) -> Result<Client, QueueError> {
        let (host, port) = (host.clone(), *port);
        let address = match self.template.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Ok(Client::open(self.template.clone().set_addr(address))?)
    }

    /// Asks the known nodes for the slot map, unless another task has refreshed it since `before`. A map without a
    /// master for `slot` is not taken: another node may know it.
    async fn refresh(&self, before: Instant, slot: Option<u16>) -> Result<(), QueueError> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked > before) {
            return Ok(());
        }
        let mut known = self.map().masters();
        known.extend(self.seeds.iter().cloned());
        let map = select_ok(known.iter().map(|node| Box::pin(self.ask(node, slot)))).await?.0;
        *asked = Some(Instant::now());
        *self.map() = map;
        Ok(())
    }

    async fn ask(&self, node: &Node, slot: Option<u16>) -> Result<SlotMap, QueueError> {
        let connection = Connection::new(self.client(node)?, ASK);
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let call = Call { command: &command, resend: Resend::Never, asking: false };
        let map = SlotMap::read(&connection.query_within::<Vec<Value>>(call, ASK).await?, node);
        if slot.is_some_and(|slot| map.master(slot).is_none()) {
            return Err(QueueError::SlotWithoutMaster);
        }
        Ok(map)
    }
}
