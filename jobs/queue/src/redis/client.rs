//! The client that the queue, and what else keeps small things in the same Redis, share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Cmd, FromRedisValue};

use crate::error::QueueError;
use crate::redis::address::RedisAddress;
use crate::redis::cluster::{Cluster, Migrating};
use crate::redis::connection::{Call, Connection, Resend};
use crate::redis::slots::{Node, slot_of};
use crate::redis::subscription::Subscription;

/// One Redis: a server, or a cluster. Clones share its connections.
///
/// A command goes to the server that has its key. Connections are opened when they are needed and again after every
/// failure. No call takes longer than its deadline. In a cluster, commands follow their key to whichever node has it,
/// through a failover if need be, for as long as the deadline allows.
///
/// Errors are [`QueueError::Redis`], [`QueueError::Deadline`], and in a cluster [`QueueError::SlotWithoutMaster`].
#[derive(Debug, Clone)]
pub struct RedisClient {
    servers: Arc<Servers>,
    deadline: Duration,
}

#[derive(Debug)]
enum Servers {
    One(Box<Connection>),
    Cluster(Cluster),
}

/// A server that has keys: the only one, or one of the masters of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master(Option<Node>);

impl RedisClient {
    /// A client for the Redis at `address`, which connects at the first call. `deadline` is that of each call.
    ///
    /// # Errors
    /// When this build cannot connect in the way that the address says.
    pub fn new(address: &RedisAddress, deadline: Duration) -> Result<Self, QueueError> {
        Self::with(address, deadline, Migrating::Follow)
    }

    /// Connects, and waits for a sign of life of each master.
    ///
    /// # Errors
    /// When one gives none within the deadline.
    pub async fn connect(address: &RedisAddress, deadline: Duration) -> Result<Self, QueueError> {
        let client = Self::new(address, deadline)?;
        for master in client.masters().await? {
            client.query_master::<()>(&master, &redis::cmd("PING"), Resend::Safe).await?;
        }
        Ok(client)
    }

    /// As [`RedisClient::new`], for commands that name a slot rather than the keys they use: they cannot be carried out
    /// while the slot is on two nodes.
    pub(crate) fn for_slots(address: &RedisAddress, deadline: Duration) -> Result<Self, QueueError> {
        Self::with(address, deadline, Migrating::Wait)
    }

    fn with(address: &RedisAddress, deadline: Duration, migrating: Migrating) -> Result<Self, QueueError> {
        let servers = if address.is_cluster() {
            Servers::Cluster(Cluster::new(address, deadline, migrating))
        } else {
            let client = Client::open(address.nodes()[0].clone()).map_err(|_| QueueError::Url)?;
            Servers::One(Box::new(Connection::new(client, deadline)))
        };
        Ok(Self { servers: Arc::new(servers), deadline })
    }

    /// The same Redis on connections of their own, for calls that block them.
    pub(crate) fn separate(&self) -> Self {
        let servers = match &*self.servers {
            Servers::One(connection) => Servers::One(Box::new(connection.separate())),
            Servers::Cluster(cluster) => Servers::Cluster(cluster.separate()),
        };
        Self { servers: Arc::new(servers), deadline: self.deadline }
    }

    /// Sends a command to the server that has `key`.
    ///
    /// # Errors
    /// When the server answers with one, or does not answer in time. What was not answered may have been carried out.
    pub async fn query<T: FromRedisValue>(
        &self,
        key: &str,
        command: &Cmd,
        resend: Resend,
    ) -> Result<T, QueueError> {
        self.query_within(key, command, resend, self.deadline).await
    }

    /// As [`RedisClient::query`], with a deadline of its own.
    ///
    /// # Errors
    /// As of [`RedisClient::query`].
    pub async fn query_within<T: FromRedisValue>(
        &self,
        key: &str,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        self.query_slot(slot_of(key), command, resend, deadline).await
    }

    /// Sends a command to the server that has a slot.
    pub(crate) async fn query_slot<T: FromRedisValue>(
        &self,
        slot: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let call = Call { command, resend, asking: false };
        match &*self.servers {
            Servers::One(connection) => connection.query_within(call, deadline).await,
            Servers::Cluster(cluster) => cluster.query_within(slot, call, deadline).await,
        }
    }

    /// The servers that have keys now. A cluster is asked each time.
    ///
    /// # Errors
    /// When no node of a cluster answers.
    pub async fn masters(&self) -> Result<Vec<Master>, QueueError> {
        match &*self.servers {
            Servers::One(_) => Ok(vec![Master(None)]),
            Servers::Cluster(cluster) => {
                Ok(cluster.masters().await?.into_iter().map(|node| Master(Some(node))).collect())
            }
        }
    }

    /// Sends a command to one server, such as a `SCAN` of its keys.
    ///
    /// # Errors
    /// As of [`RedisClient::query`].
    pub async fn query_master<T: FromRedisValue>(
        &self,
        master: &Master,
        command: &Cmd,
        resend: Resend,
    ) -> Result<T, QueueError> {
        let call = Call { command, resend, asking: false };
        match (&*self.servers, &master.0) {
            (Servers::Cluster(cluster), Some(node)) => {
                cluster.connection(node)?.query_within(call, self.deadline).await
            }
            (Servers::One(connection), _) => connection.query_within(call, self.deadline).await,
            (Servers::Cluster(_), None) => Err(QueueError::SlotWithoutMaster),
        }
    }

    /// Divides keys into groups of which each may be named in one command: all of them on one server, those of one slot
    /// in a cluster.
    #[must_use]
    pub fn grouped(&self, keys: Vec<String>) -> Vec<Vec<String>> {
        let mut groups: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for key in keys {
            let slot = if self.is_cluster() { slot_of(&key) } else { 0 };
            groups.entry(slot).or_default().push(key);
        }
        groups.into_values().collect()
    }

    /// Subscribes to a channel, on a connection of its own that is opened by [`Subscription::next`].
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> Subscription {
        let nodes = match &*self.servers {
            Servers::One(connection) => vec![connection.client().clone()],
            Servers::Cluster(cluster) => cluster.seeds(),
        };
        Subscription::new(nodes, channel, self.deadline)
    }

    /// The node that has a slot, as far as known; `None` for a Redis that is one server.
    pub(crate) fn node_of(&self, slot: u16) -> Option<Node> {
        match &*self.servers {
            Servers::One(_) => None,
            Servers::Cluster(cluster) => cluster.master(slot),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(*self.servers, Servers::Cluster(_))
    }
}
