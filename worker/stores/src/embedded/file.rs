//! One `SQLite` file.

use std::path::Path;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::fault::{Fault, is_damage, primary_code};
use crate::data_dir;

/// How long a connection waits for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// How long a call waits for the one writing connection.
const QUEUE_LIMIT: Duration = Duration::from_secs(60);
/// How often opening is tried: changing the journal of a new file answers "locked" at once, however long a
/// connection is told to wait.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_WAIT: Duration = Duration::from_millis(100);

/// How a file is used.
pub(super) struct Usage {
    pub(super) migrations: &'static Migrator,
    pub(super) synchronous: SqliteSynchronous,
    pub(super) readers_max: u32,
}

/// An open file with one connection that writes and some that read. Dropping it closes them once their calls
/// are over.
pub(super) struct SqliteFile {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteFile {
    /// Opens the file, making it if needed, and brings its tables up to date.
    pub(super) async fn open(path: &Path, usage: &Usage) -> Result<Self, Fault> {
        data_dir::private_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(usage.synchronous)
            .busy_timeout(BUSY_LIMIT)
            .foreign_keys(true);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(QUEUE_LIMIT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = connect(pool(1), &options).await?;
        migrate(&writer, usage.migrations).await?;
        let readers = pool(usage.readers_max).connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self { writer, readers })
    }

    /// Connections that read.
    pub(super) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// A transaction that holds the write lock from its beginning, so that it cannot fail half-way for want
    /// of it.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Fault> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes all connections, once their calls are over.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The connection that writes, for a single statement.
    pub(super) fn write(&self) -> &SqlitePool {
        &self.writer
    }
}

/// Whether no other attempt can succeed.
fn is_final(error: &MigrateError) -> bool {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => true,
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_damage(error),
        _ => false,
    }
}

/// Busy or locked.
fn is_held(refusal: &dyn DatabaseError) -> bool {
    matches!(primary_code(refusal), 5 | 6)
}

/// Connects, again and again while another process holds the new file.
async fn connect(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let mut attempt = 1;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if is_held(error.as_ref()) && attempt < OPEN_ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(OPEN_WAIT).await;
            }
            opened => return opened,
        }
    }
}

/// Another process may be doing the same; whoever comes second finds it done at the next attempt.
async fn migrate(writer: &SqlitePool, migrations: &Migrator) -> Result<(), Fault> {
    let mut attempt = 1;
    loop {
        match migrations.run(writer).await {
            Ok(()) => return Ok(()),
            Err(error) if !is_final(&error) && attempt < OPEN_ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(OPEN_WAIT).await;
            }
            Err(error) => return Err(sqlx::Error::from(error).into()),
        }
    }
}
