//! Talking to the masters of a Redis Cluster: one plain connection to each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue};

use super::connection::{Connection, Resend, is_broken};
use super::error::QueueError;
use super::routes::{Node, Routes, redirect};

/// The pause before the cluster is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How often in a row a command follows its shard without a pause.
const HOPS: u32 = 3;

/// Connections to the masters that have our shards. A shard's keys share a hash tag, so each call concerns one node.
#[derive(Debug)]
pub(super) struct Cluster {
    routes: Arc<Routes>,
    nodes: Mutex<HashMap<Node, Arc<Connection>>>,
    deadline: Duration,
}

/// What to do about an error.
enum Remedy {
    /// The command was not carried out, and the shard is at this node.
    Go(Node),
    /// The command was not carried out; the cluster may be in the middle of a failover.
    Again,
    /// Nobody knows whether the command was carried out.
    Lost,
    /// The command is at fault.
    None,
}

impl Cluster {
    pub(super) fn new(routes: Arc<Routes>, deadline: Duration) -> Self {
        Self { routes, nodes: Mutex::default(), deadline }
    }

    pub(super) fn separate(&self) -> Self {
        Self::new(Arc::clone(&self.routes), self.deadline)
    }

    pub(super) fn together_with(&self, shard: u16) -> Vec<u16> {
        self.routes.together_with(shard)
    }

    /// Follows the shard to whichever node has it, through a failover if need be, until the deadline.
    pub(super) async fn query_within<T: FromRedisValue>(
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
        // A node that is gone without a word must leave time for its successor.
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
            // A slot on the move is in two places, and the scripts are right in neither. They name the shard's
            // prefix as their key, which is never there: the old node therefore refuses them from the first key
            // that leaves to the last, and we wait rather than follow.
            Some("ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "READONLY" | "MASTERDOWN" | "LOADING") => Remedy::Again,
            _ if is_broken(error) => Remedy::Lost,
            _ => Remedy::None,
        },
        _ => Remedy::None,
    }
}
