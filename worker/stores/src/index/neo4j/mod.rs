//! Neo4j: entities and relations as `LightRAG` reads them.
//!
//! The label of a node is its knowledge base's workspace id and nothing else; `tenant_id` and `kb_id` are
//! properties that `LightRAG` ignores. Every query text has to contain `$tenant_id`: see
//! [`tenant_cypher!`](crate::tenant_cypher).

mod cypher;
mod graph;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jobs::url::without_credentials;
use neo4rs::{ConfigBuilder, Error, Graph, Query, Row, Txn};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

use crate::config::InvalidStores;
use crate::deadline::{CALL, late};
use crate::error::{FaultKind, StoreError};
use crate::percent;
use crate::ports::StoreResult;

pub use cypher::TenantCypher;

const NEO4J_URL: &str = "NEO4J_URL";
/// Connections per process: as many as to PostgreSQL.
const CONNECTIONS_MAX: usize = 16;
/// Rows per message.
const FETCH_ROWS: usize = 1_000;

/// The Neo4j server.
///
/// neo4rs 0.8 has no deadlines, and when a caller is dropped half-way it returns the connection to its pool with
/// replies still to come. The next caller would read those as its own, and they may be another tenant's. So a
/// transaction that does not end in an orderly way discards the pool: its idle connections are closed at once, and
/// those in use when they are returned.
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

/// Discards the pool of this generation when dropped, unless the transaction ended in an orderly way.
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
    /// Parses the URL; connections are made on demand.
    ///
    /// # Errors
    /// When the URL cannot be parsed.
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

    /// Checks that the server answers.
    ///
    /// When it does not answer, or does not accept the credentials.
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

    /// Runs a query and returns its rows.
    async fn read(&self, operation: &'static str, query: Query) -> StoreResult<Vec<Row>> {
        self.transact(operation, CALL, Vec::new(), Some(query)).await
    }

    /// Runs queries in one transaction: all of them take effect or none.
    async fn write(&self, operation: &'static str, limit: Duration, queries: Vec<Query>) -> StoreResult<()> {
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
            // Declared after `work`, so that on every path the pool is discarded before `work` returns its
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

    /// Runs one transaction; `None` when the pool was discarded meanwhile: the connection may be the very one that
    /// caused it, so nothing that was read from it may be used.
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
        // Makes no connection yet.
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

/// Neo4j's error, without its message, which quotes the data.
#[derive(Debug, thiserror::Error)]
#[error("Neo4j answered {code}")]
struct Refused {
    code: String,
}

impl Refused {
    fn new(code: &str) -> Self {
        Self { code: code.to_owned() }
    }
}

/// Converts an error of the driver in `operation`.
fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match error {
        Error::Neo4j(refusal) => refused(operation, refusal.code()),
        // The driver turns errors of BEGIN, PULL and COMMIT into a text.
        Error::UnexpectedMessage(text) => match code_in(&text) {
            Some(code) => refused(operation, code),
            None => StoreError::of(FaultKind::Transient, operation, Refused::new("something out of turn")),
        },
        Error::IOError { ref detail } => StoreError::of(FaultKind::of_io(detail), operation, error),
        Error::ConnectionError => StoreError::of(FaultKind::Unavailable, operation, error),
        Error::AuthenticationError(_) => StoreError::of(
            FaultKind::Unavailable,
            operation,
            Refused::new("that the user or the password is wrong"),
        ),
        other => StoreError::permanent(operation, other),
    }
}

fn refused(operation: &'static str, code: &str) -> StoreError {
    StoreError::of(code_kind(code), operation, Refused::new(code))
}

/// What a code `Neo.Classification.Category.Title` says about a retry: single codes first, then classifications.
fn code_kind(code: &str) -> FaultKind {
    const UNAVAILABLE: [&str; 17] = [
        // Not the leader, read-only (also because of a full disk), not available yet.
        "Neo.ClientError.Cluster.NotALeader",
        "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
        "Neo.ClientError.General.WriteOnReadOnlyAccessDatabase",
        "Neo.ClientError.Database.DatabaseNotFound",
        "Neo.DatabaseError.Database.UnableToStartDatabase",
        "Neo.DatabaseError.General.DatabaseUnavailable",
        "Neo.TransientError.General.DatabaseUnavailable",
        "Neo.TransientError.Database.DatabaseUnavailable",
        "Neo.TransientError.Request.NoThreadsAvailable",
        // Nothing can be written.
        "Neo.DatabaseError.Transaction.TransactionStartFailed",
        "Neo.DatabaseError.Transaction.TransactionCommitFailed",
        "Neo.DatabaseError.Transaction.TransactionLogError",
        // Authentication or authorisation refused.
        "Neo.ClientError.Security.Unauthorized",
        "Neo.ClientError.Security.AuthenticationRateLimit",
        "Neo.ClientError.Security.AuthorizationExpired",
        "Neo.ClientError.Security.CredentialsExpired",
        "Neo.ClientError.Security.TokenExpired",
    ];
    const TRANSIENT: [&str; 5] = [
        "Neo.ClientError.Transaction.Terminated",
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
        "Neo.ClientError.Transaction.LockClientStopped",
        "Neo.ClientError.Transaction.TransactionNotFound",
    ];
    // The store is damaged, so a retry cannot help.
    const DAMAGED: [&str; 3] = [
        "Neo.DatabaseError.General.StorageDamageDetected",
        "Neo.DatabaseError.General.IndexCorruptionDetected",
        "Neo.DatabaseError.Schema.SchemaRuleDuplicateFound",
    ];
    if UNAVAILABLE.contains(&code) {
        FaultKind::Unavailable
    } else if DAMAGED.contains(&code) {
        FaultKind::Permanent
    } else if TRANSIENT.contains(&code)
        || code.starts_with("Neo.TransientError.")
        || code.starts_with("Neo.DatabaseError.")
    {
        FaultKind::Transient
    } else {
        FaultKind::Permanent
    }
}

/// The first `Neo.Class.Category.Title` in a text.
fn code_in(text: &str) -> Option<&str> {
    let code = &text[text.find("Neo.")?..];
    let end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(code.len());
    Some(code[..end].trim_end_matches('.'))
}

#[cfg(test)]
mod bolt_tests {
    use super::*;

    #[test]
    fn credentials_leave_the_address() {
        let neo4j = Neo4j::new(&"bolt://ann:p%40ss@host:7687".to_owned().into()).unwrap();
        assert_eq!((neo4j.uri.as_str(), neo4j.user.as_str()), ("bolt://host:7687", "ann"));
        assert_eq!(neo4j.password.expose_secret(), "p@ss");
        assert!(Neo4j::new(&"host:7687".to_owned().into()).is_err());
    }

    /// A server that accepts connections and never answers.
    #[tokio::test]
    async fn a_caller_that_gives_up_closes_the_pool() {
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

#[cfg(test)]
mod fault_tests {
    use super::*;

    #[test]
    fn every_family_of_codes_has_its_kind() {
        let table = [
            (
                FaultKind::Unavailable,
                &[
                    "Neo.ClientError.Cluster.NotALeader",
                    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
                    "Neo.ClientError.Security.Unauthorized",
                    "Neo.DatabaseError.Transaction.TransactionCommitFailed",
                    "Neo.TransientError.General.DatabaseUnavailable",
                ][..],
            ),
            (
                FaultKind::Transient,
                &[
                    "Neo.TransientError.Transaction.DeadlockDetected",
                    "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
                    "Neo.ClientError.Transaction.Terminated",
                    "Neo.DatabaseError.Statement.ExecutionFailed",
                    "Neo.DatabaseError.General.UnknownError",
                ],
            ),
            (
                FaultKind::Permanent,
                &[
                    "Neo.ClientError.Statement.SyntaxError",
                    "Neo.ClientError.Schema.ConstraintValidationFailed",
                    "Neo.ClientError.Security.Forbidden",
                    "Neo.DatabaseError.General.StorageDamageDetected",
                    "Anything.Else",
                ],
            ),
        ];
        for (kind, codes) in table {
            for code in codes {
                assert_eq!(code_kind(code), kind, "{code}");
            }
        }
    }

    #[test]
    fn a_deadlock_passes_and_a_syntax_error_stays() {
        let deadlock = r#"unexpected response for PULL: Ok(Failure({"code": "Neo.TransientError.Transaction.DeadlockDetected"}))"#;
        let syntax = r#"unexpected response for COMMIT: "Neo.ClientError.Statement.SyntaxError: near 'x'""#;
        assert!(fault("test")(Error::UnexpectedMessage(deadlock.into())).is_transient());
        let syntax = fault("test")(Error::UnexpectedMessage(syntax.into()));
        assert!(!syntax.is_transient());
        let text = jobs::error::report(&syntax);
        assert!(text.ends_with("Neo.ClientError.Statement.SyntaxError"), "{text}");
    }
}
