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
    connections: Arc<Connections>,
    deadline: Duration,
}

#[derive(Debug)]
enum Connections {
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

    fn with(address: &RedisAddress, deadline: Duration, migrating: Migrating) -> Result<Self, QueueError> {
        let connections = if address.is_cluster() {
            Connections::Cluster(Cluster::new(address, deadline, migrating))
        } else {
            let client = Client::open(address.nodes()[0].clone()).map_err(|_| QueueError::Url)?;
            Connections::One(Box::new(Connection::new(client, deadline)))
        };
        Ok(Self { connections: Arc::new(connections), deadline })
    }

    /// The same Redis on connections of their own, for calls that block them.
    fn separate(&self) -> Self {
        let connections = match &*self.connections {
            Connections::One(connection) => Connections::One(Box::new(connection.separate())),
            Connections::Cluster(cluster) => Connections::Cluster(cluster.separate()),
        };
        Self { connections: Arc::new(connections), deadline: self.deadline }
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
    async fn query_slot<T: FromRedisValue>(
        &self,
        slot: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let call = Call { command, resend, asking: false };
        match &*self.connections {
            Connections::One(connection) => connection.query_within(call, deadline).await,
            Connections::Cluster(cluster) => cluster.query_within(slot, call, deadline).await,
        }
    }

    /// The servers that have keys now. A cluster is asked each time.
    ///
    /// # Errors
    /// When no node of a cluster answers.
    pub async fn masters(&self) -> Result<Vec<Master>, QueueError> {
        match &*self.connections {
            Connections::One(_) => Ok(vec![Master(None)]),
            Connections::Cluster(cluster) => {
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
        match (&*self.connections, &master.0) {
            (Connections::Cluster(cluster), Some(node)) => {
                cluster.connection(node)?.query_within(call, self.deadline).await
            }
            (Connections::One(connection), _) => connection.query_within(call, self.deadline).await,
            (Connections::Cluster(_), None) => Err(QueueError::SlotWithoutMaster),
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
        let nodes = match &*self.connections {
            Connections::One(connection) => vec![connection.client().clone()],
            Connections::Cluster(cluster) => cluster.seeds(),
        };
        Subscription::new(nodes, channel, self.deadline)
    }

    /// The node that has a slot, as far as known; `None` for a Redis that is one server.
    fn node_of(&self, slot: u16) -> Option<Node> {
        match &*self.connections {
            Connections::One(_) => None,
            Connections::Cluster(cluster) => cluster.master(slot),
        }
    }

    fn is_cluster(&self) -> bool {
        matches!(*self.connections, Connections::Cluster(_))
    }
}

/// The servers behind a queue. A shard's keys share a hash tag, so each call concerns one of them.
#[derive(Debug)]
pub(crate) struct Servers {
    client: RedisClient,
    /// The slot of each shard.
    slots: Vec<u16>,
    deadline: Duration,
}

impl Servers {
    /// Connects lazily, at the first query. `slots` are those of the shards. Commands name a slot rather than the keys
    /// they use, so they cannot be carried out while the slot is on two nodes.
    pub(crate) fn new(
        address: &RedisAddress,
        slots: Vec<u16>,
        deadline: Duration,
    ) -> Result<Self, QueueError> {
        Ok(Self { client: RedisClient::with(address, deadline, Migrating::Wait)?, slots, deadline })
    }

    /// The same servers on connections of their own, for calls that block them.
    pub(crate) fn separate(&self) -> Self {
        Self { client: self.client.separate(), slots: self.slots.clone(), deadline: self.deadline }
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
        self.client.query_slot(self.slots[usize::from(shard)], command, resend, deadline).await
    }

    /// The shards that are on the same server as `shard`, itself included.
    pub(crate) fn together_with(&self, shard: u16) -> Vec<u16> {
        let node = |shard: u16| self.client.node_of(self.slots[usize::from(shard)]);
        let server = node(shard);
        (0..).take(self.slots.len()).filter(|&other| other == shard || node(other) == server).collect()
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.client.is_cluster()
    }
}
