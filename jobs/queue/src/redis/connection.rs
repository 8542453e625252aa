//! A connection to Redis that comes back by itself, and on which nothing waits for ever.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use tokio::sync::Mutex;

use crate::error::QueueError;

/// One connection, shared by many callers. Any failure of the transport, a missed deadline included, drops
/// it; the next call opens a new one. (A half-open connection otherwise stays dead for as long as the kernel
/// believes in it.)
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    deadline: Duration,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

/// Whether a call that met a broken connection may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    /// Doing it twice is doing it once.
    Safe,
    /// The caller decides.
    Never,
}

impl Connection {
    pub(crate) fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline, live: Mutex::default() }
    }

    /// Sends one command that may keep Redis busy, or waiting, for up to `deadline`.
    pub(crate) async fn query_within<T: FromRedisValue>(
        &self,
        command: &Cmd,
        resend: Resend,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let mut generation = None;
        let answer = tokio::time::timeout(deadline, self.attempt(command, resend, &mut generation)).await;
        if let Ok(answer) = answer {
            return answer.map_err(QueueError::Redis);
        }
        if let Some(generation) = generation {
            self.forget(generation).await;
        }
        Err(QueueError::Deadline(deadline))
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        command: &Cmd,
        resend: Resend,
        generation: &mut Option<u64>,
    ) -> Result<T, RedisError> {
        let mut resends = u32::from(resend == Resend::Safe);
        loop {
            let (current, mut connection) = self.open().await?;
            *generation = Some(current);
            match command.query_async(&mut connection).await {
                Err(error) if is_broken(&error) => {
                    self.forget(current).await;
                    if resends == 0 {
                        return Err(error);
                    }
                    resends -= 1;
                }
                answer => return answer,
            }
        }
    }

    async fn open(&self) -> Result<(u64, MultiplexedConnection), RedisError> {
        let mut live = self.live.lock().await;
        if let Some(connection) = &live.connection {
            return Ok((live.generation, connection.clone()));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        live.generation += 1;
        live.connection = Some(connection.clone());
        Ok((live.generation, connection))
    }

    async fn forget(&self, generation: u64) {
        let mut live = self.live.lock().await;
        if live.generation == generation {
            live.connection = None;
        }
    }
}

/// Whether the connection is of no further use. A demoted master answers, but never what we need.
pub(crate) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
