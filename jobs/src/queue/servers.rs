//! Which server has a shard.

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Cmd, FromRedisValue};

use super::address::RedisAddress;
use super::cluster::Cluster;
use super::connection::{Connection, Resend};
use super::error::QueueError;
use super::routes::Routes;
use super::shards::Shards;

/// The servers behind a queue.
#[derive(Debug)]
pub(super) struct Servers {
    kind: Kind,
    deadline: Duration,
}

#[derive(Debug)]
enum Kind {
    One { client: Box<Client>, connection: Box<Connection>, shards: u16 },
    Cluster(Cluster),
}

impl Servers {
    /// Nothing is connected before the first query.
    pub(super) fn new(
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
    pub(super) fn separate(&self) -> Self {
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
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        shard: u16,
        command: &Cmd,
        resend: Resend,
    ) -> Result<T, QueueError> {
        self.query_within(shard, command, resend, self.deadline).await
    }

    /// Sends one command that may keep the server busy, or waiting, for up to `deadline`.
    pub(super) async fn query_within<T: FromRedisValue>(
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
    pub(super) fn together_with(&self, shard: u16) -> Vec<u16> {
        match &self.kind {
            Kind::One { shards, .. } => (0..*shards).collect(),
            Kind::Cluster(cluster) => cluster.together_with(shard),
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }
}
