//! A connection to Redis that comes back by itself, and on which nothing waits for ever.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};

use crate::error::QueueError;

/// One connection, shared by many callers. Any failure of the transport, a missed deadline included, drops
/// it; the next call opens a new one. (A half-open connection otherwise stays dead for as long as the kernel
/// believes in it.)
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    deadline: Duration,
    live: Arc<Mutex<Live>>,
}

type Opening = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

#[derive(Debug, Default)]
struct Live {
    generation: u64,
    /// The connection, or the attempt to open it, which all callers wait for.
    opening: Option<Opening>,
}

impl Live {
    fn forget(&mut self, generation: u64) {
        if self.generation == generation {
            self.opening = None;
        }
    }
}

/// Whether a call that met a broken connection may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Carrying it out twice has the effect of carrying it out once, so it is sent again.
    Safe,
    /// The caller gets the error and decides. The command may have been carried out.
    Never,
}

/// One command, and how it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) command: &'a Cmd,
    pub(super) resend: Resend,
    /// Says `ASKING` first: the node is about to get the slot, and answers only who knows that.
    pub(super) asking: bool,
}

impl Connection {
    pub(super) fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline, live: Arc::default() }
    }

    /// The same server on a connection of its own.
    pub(super) fn separate(&self) -> Self {
        Self::new(self.client.clone(), self.deadline)
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends one command that may keep Redis busy, or waiting, for up to `deadline`.
    pub(super) async fn query_within<T: FromRedisValue>(
        &self,
        call: Call<'_>,
        deadline: Duration,
    ) -> Result<T, QueueError> {
        let mut generation = None;
        let answer = tokio::time::timeout(deadline, self.attempt(call, &mut generation)).await;
        if let Ok(answer) = answer {
            return answer.map_err(QueueError::Redis);
        }
        if let Some(generation) = generation {
            self.live().forget(generation);
        }
        Err(QueueError::Deadline(deadline))
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        call: Call<'_>,
        generation: &mut Option<u64>,
    ) -> Result<T, RedisError> {
        let mut resends = u32::from(call.resend == Resend::Safe);
        loop {
            let (current, opening) = self.open();
            let mut connection = opening.await?;
            *generation = Some(current);
            match send(call, &mut connection).await {
                Err(error) if is_broken(&error) => {
                    self.live().forget(current);
                    if resends == 0 {
                        return Err(error);
                    }
                    resends -= 1;
                }
                answer => return answer,
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> (u64, Opening) {
        let mut live = self.live();
        if live.opening.is_none() {
            live.generation += 1;
            live.opening = Some(self.connect(live.generation));
        }
        let opening = live.opening.clone().expect("it was set just above");
        (live.generation, opening)
    }

    /// Connects on a task of its own: callers that are less patient than connecting takes must not keep the connection
    /// from coming back.
    fn connect(&self, generation: u64) -> Opening {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None);
        let (client, live) = (self.client.clone(), Arc::clone(&self.live));
        let task = tokio::spawn(async move {
            let opened = client.get_multiplexed_async_connection_with_config(&config).await;
            if opened.is_err() {
                live.lock().unwrap_or_else(PoisonError::into_inner).forget(generation);
            }
            opened
        });
        let opened = async move { task.await.unwrap_or_else(|ended| Err(io::Error::other(ended).into())) };
        opened.boxed().shared()
    }
}

async fn send<T: FromRedisValue>(
    call: Call<'_>,
    connection: &mut MultiplexedConnection,
) -> Result<T, RedisError> {
    if !call.asking {
        return call.command.query_async(connection).await;
    }
    let mut both = redis::pipe();
    both.cmd("ASKING").ignore().add_command(call.command.clone());
    let (answer,) = both.query_async(connection).await?;
    Ok(answer)
}

/// Whether the connection is of no further use. A demoted master answers, but never what we need.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
