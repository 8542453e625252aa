//! Which server has a shard.

use std::time::Duration;

use redis::{Client, Cmd, FromRedisValue};

use super::connection::{Connection, Resend};
use super::error::QueueError;

/// The servers behind a queue.
#[derive(Debug)]
pub(super) struct Servers {
    client: Client,
    deadline: Duration,
    connection: Connection,
    shards: u16,
}

impl Servers {
    pub(super) fn new(client: Client, shards: u16, deadline: Duration) -> Self {
        let connection = Connection::new(client.clone(), deadline);
        Self { client, deadline, connection, shards }
    }

    /// The same servers on connections of their own, for calls that block them.
    pub(super) fn separate(&self) -> Self {
        Self::new(self.client.clone(), self.shards, self.deadline)
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
        _shard: u16,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        self.connection.query_within(command, resend, deadline).await
    }

    /// The shards that are on the same server as `shard`, itself included.
    pub(super) fn together_with(&self, _shard: u16) -> Vec<u16> {
        (0..self.shards).collect()
    }
}
