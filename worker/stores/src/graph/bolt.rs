//! Talking to Neo4j, one transaction at a time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jobs::url::without_credentials;
use neo4rs::{ConfigBuilder, Graph, Query, Row, Txn};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

use super::fault::fault;
use crate::config::InvalidStores;
use crate::deadline::{CALL, late};
use crate::percent;
use crate::ports::StoreResult;

const NEO4J_URL: &str = "NEO4J_URL";
/// Connections of one process: as many as may talk to PostgreSQL at the same time.
const CONNECTIONS_MAX: usize = 16;
/// Rows that come in one message.
const FETCH_ROWS: usize = 1_000;

/// The graph server.
///
/// neo4rs 0.8 knows no deadlines, and when a caller gives up half-way it puts the connection back into its
/// pool with answers still to come. Whoever gets that connection next would read them as their own, and they
/// may be another tenant's. So a transaction that does not end in an orderly way costs the pool: its idle
/// connections are closed, and those in use when they come back.
pub(crate) struct Neo4j {
    uri: String,
    user: String,
    password: SecretString,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    graph: Option<Graph>,
    generation: u64,
}

/// Gives up a generation of the pool unless told that all ended well.
struct Guard<'a> {
    neo4j: &'a Neo4j,
    generation: u64,
    orderly: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.orderly {
            self.neo4j.give_up(self.generation);
        }
    }
}

impl Neo4j {
    /// Reads the URL; connections are made when they are needed.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub(crate) fn new(url: &SecretString) -> Result<Self, InvalidStores> {
        let text = url.expose_secret();
        let problem = || InvalidStores::Setting {
            setting: NEO4J_URL,
            problem: format!(
                "{} is no address: expected bolt://user:password@host:port, the user part being optional",
                without_credentials(text)
            ),
        };
        let (user, password) = percent::credentials(text).ok_or_else(problem)?;
        let (scheme, rest) = text.split_once("://").ok_or_else(problem)?;
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        Ok(Self {
            uri: format!("{scheme}://{address}"),
            // The driver always sends credentials; a server without authentication takes any.
            user: if user.is_empty() { "neo4j".into() } else { user },
            password: password.into(),
            pool: Mutex::default(),
        })
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not, or does not accept the credentials.
    pub(crate) async fn answers(&self) -> Result<(), InvalidStores> {
        let answer = self.read("graph.ping", Query::new("RETURN 1 AS one".into())).await;
        answer.map(drop).map_err(|error| {
            let (at, cause) = (&self.uri, jobs::error::root(&error));
            let problem = if error.is_transient() {
                format!("no Neo4j answers at {at} ({cause}): start it, or correct the address")
            } else {
                format!(
                    "the Neo4j at {at} does not let us in ({cause}): correct user and password in the URL"
                )
            };
            InvalidStores::Unreachable { setting: NEO4J_URL, problem }
        })
    }

    /// The rows of a query.
    pub(super) async fn read(&self, operation: &'static str, query: Query) -> StoreResult<Vec<Row>> {
        self.transact(operation, CALL, Vec::new(), Some(query)).await
    }

    /// Runs queries for their effect: all of them or none.
    pub(super) async fn write(
        &self,
        operation: &'static str,
        limit: Duration,
        queries: Vec<Query>,
    ) -> StoreResult<()> {
        self.transact(operation, limit, queries, None).await.map(drop)
    }

    async fn transact(
        &self,
        operation: &'static str,
        limit: Duration,
        writes: Vec<Query>,
        read: Option<Query>,
    ) -> StoreResult<Vec<Row>> {
        let deadline = Instant::now() + limit;
        loop {
            let (graph, generation) = self.pool().await.map_err(fault(operation))?;
            let mut work = Box::pin(self.talk(&graph, generation, &writes, read.as_ref()));
            // Declared after `work`: on every way out the pool is given up before `work` returns its
            // connection.
            let mut guard = Guard { neo4j: self, generation, orderly: false };
            let Ok(done) = timeout_at(deadline, &mut work).await else {
                return Err(late(operation, limit));
            };
            let rows = done.map_err(fault(operation))?;
            guard.orderly = true;
            if let Some(rows) = rows {
                return Ok(rows);
            }
        }
    }

    /// One transaction; nothing when the pool was given up meanwhile: then the connection may be the very one
    /// that it was given up for, and nothing that was read from it counts.
    async fn talk(
        &self,
        graph: &Graph,
        generation: u64,
        writes: &[Query],
        read: Option<&Query>,
    ) -> neo4rs::Result<Option<Vec<Row>>> {
        let begun = graph.start_txn().await;
        if self.generation() != generation {
            return Ok(None);
        }
        let mut txn = begun?;
        let done = exchange(&mut txn, writes, read).await;
        if done.is_err() {
            self.give_up(generation);
        }
        let rows = done?;
        txn.commit().await?;
        Ok(Some(rows))
    }

    async fn pool(&self) -> neo4rs::Result<(Graph, u64)> {
        {
            let pool = self.lock();
            if let Some(graph) = &pool.graph {
                return Ok((graph.clone(), pool.generation));
            }
        }
        let config = ConfigBuilder::new()
            .uri(&self.uri)
            .user(&self.user)
            .password(self.password.expose_secret())
            .max_connections(CONNECTIONS_MAX)
            .fetch_size(FETCH_ROWS)
            .build()?;
        // Connects to nothing yet.
        let graph = Graph::connect(config).await?;
        let mut pool = self.lock();
        let graph = pool.graph.get_or_insert(graph).clone();
        Ok((graph, pool.generation))
    }

    fn generation(&self) -> u64 {
        self.lock().generation
    }

    fn give_up(&self, generation: u64) {
        let mut pool = self.lock();
        if pool.generation == generation {
            pool.generation += 1;
            pool.graph = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn exchange(txn: &mut Txn, writes: &[Query], read: Option<&Query>) -> neo4rs::Result<Vec<Row>> {
    txn.run_queries(writes.iter().cloned()).await?;
    let mut rows = Vec::new();
    if let Some(query) = read {
        let mut stream = txn.execute(query.clone()).await?;
        while let Some(row) = stream.next(txn.handle()).await? {
            rows.push(row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_address() {
        let neo4j = Neo4j::new(&"bolt://ann:p%40ss@host:7687".to_owned().into()).unwrap();
        assert_eq!((neo4j.uri.as_str(), neo4j.user.as_str()), ("bolt://host:7687", "ann"));
        assert_eq!(neo4j.password.expose_secret(), "p@ss");
        assert!(Neo4j::new(&"host:7687".to_owned().into()).is_err());
    }

    /// A server that takes connections and never says a word.
    #[tokio::test]
    async fn whoever_gives_up_closes_the_pool() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("bolt://{}", silent.local_addr().unwrap());
        let neo4j = Neo4j::new(&url.into()).unwrap();
        let wait = Duration::from_millis(20);
        let late = neo4j.write("test.write", wait, vec![Query::new("RETURN 1".into())]).await.unwrap_err();
        assert!(late.is_transient(), "{late}");
        assert_eq!(neo4j.generation(), 1);
        let dropped =
            tokio::time::timeout(wait, neo4j.read("test.read", Query::new("RETURN 1".into()))).await;
        assert!(dropped.is_err());
        assert_eq!(neo4j.generation(), 2);
    }
}
