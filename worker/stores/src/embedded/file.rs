//! One `SQLite` file.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};

use super::fault::{Fault, is_damage, sqlx_kind};
use super::scrub::Scrubber;
use crate::catalog::Connections;
use crate::data_dir;
use crate::error::FaultKind;

/// How long a connection waits for the write lock of another process.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// How long a call waits for the one writing connection.
const QUEUE_LIMIT: Duration = Duration::from_secs(60);
/// Attempts at opening: changing the journal mode of a new file fails at once when it is locked, whatever the busy
/// timeout.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_ATTEMPTS_UNAVAILABLE: u32 = 5;
const OPEN_WAIT: Duration = Duration::from_millis(100);

/// How a file is opened.
pub(crate) struct Usage {
    pub(crate) migrations: &'static Migrator,
    pub(crate) synchronous: SqliteSynchronous,
    pub(crate) readers_max: u32,
}

/// An open file with one writing connection and some reading ones. Dropping it closes them when their calls have
/// ended.
pub(crate) struct SqliteFile {
    writer: SqlitePool,
    readers: SqlitePool,
    scrubber: Scrubber,
}

impl SqliteFile {
    /// Opens the file, creates it if needed, and migrates its tables.
    pub(crate) async fn open(path: &Path, usage: &Usage) -> Result<Self, Fault> {
        data_dir::private_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(usage.synchronous)
            .busy_timeout(BUSY_LIMIT)
            .foreign_keys(true)
            // Overwrites deleted data with zeros.
            .pragma("secure_delete", "on");
        let writer = connect(pool(1), &options).await?;
        let scrubber = Scrubber::of(&writer).await?;
        migrate(&writer, usage.migrations).await?;
        let readers = pool(usage.readers_max).connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self { writer, readers, scrubber })
    }

    /// Starts to scrub what a transaction deleted and noted with [`super::scrub::note`].
    pub(crate) fn scrub_noted(&self) {
        self.scrubber.start(&self.writer);
    }

    /// The reading connections and the writing one.
    pub(crate) fn connections(&self) -> Connections {
        let pools = [&self.writer, &self.readers];
        let open: u32 = pools.iter().map(|pool| pool.size()).sum();
        let idle = pools.iter().map(|pool| u32::try_from(pool.num_idle()).unwrap_or(u32::MAX)).sum();
        let most = pools.iter().map(|pool| pool.options().get_max_connections()).sum();
        Connections { store: "sqlite", used: open.saturating_sub(idle), idle, most }
    }

    /// The reading connections.
    pub(crate) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a transaction that holds the write lock from its beginning, so that it cannot fail half-way because
    /// another one has the lock.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Fault> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes all connections when their calls have ended.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The writing connection, for a single statement.
    pub(crate) fn write(&self) -> &SqlitePool {
        &self.writer
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(QUEUE_LIMIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A full disk makes SQLite roll back by itself. The driver's own ROLLBACK then fails, the driver believes
        // that a transaction is still open, and no other can begin on the connection: it is replaced.
        .after_release(|connection, _| Box::pin(is_at_rest(connection)))
}

/// Whether no transaction is open on a connection, after all pending statements have ended.
async fn is_at_rest(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Connects, with retries while another process holds the new file.
async fn connect(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let mut attempt = 1;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if attempt < attempts(&error) => {
                attempt += 1;
                tokio::time::sleep(OPEN_WAIT).await;
            }
            opened => return opened,
        }
    }
}

/// Another process may migrate at the same time; the second one finds the work done at its next attempt.
async fn migrate(writer: &SqlitePool, migrations: &Migrator) -> Result<(), Fault> {
    let mut attempt = 1;
    loop {
        match migrations.run(writer).await.map_err(sqlx::Error::from) {
            Ok(()) => return Ok(()),
            Err(error) if attempt < attempts(&error) => {
                attempt += 1;
                tokio::time::sleep(OPEN_WAIT).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Number of attempts when another process may use the file: few for a full disk, which stays full for longer than
/// the retries take.
fn attempts(error: &sqlx::Error) -> u32 {
    match error {
        error if is_final(error) => 1,
        sqlx::Error::Database(_) | sqlx::Error::Migrate(_) => match sqlx_kind(error) {
            FaultKind::Unavailable => OPEN_ATTEMPTS_UNAVAILABLE,
            _ => OPEN_ATTEMPTS,
        },
        _ => 1,
    }
}

/// Whether a retry is useless: the file is damaged, or its schema is unknown to this program.
fn is_final(error: &sqlx::Error) -> bool {
    let other_schema = matches!(error, sqlx::Error::Migrate(error)
        if matches!(**error, MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)));
    other_schema || is_damage(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content_db::USAGE;

    async fn fill(tx: &mut SqliteConnection, document: &str) -> sqlx::Result<()> {
        let sql = "INSERT INTO document_texts (tenant_id, kb_id, document_id, revision, text) VALUES ('acme', 'default', ?, 1, ?)";
        sqlx::query(sql).bind(document).bind("text ".repeat(4_000)).execute(tx).await.map(drop)
    }

    /// `max_page_count` belongs to the connection; reaching it fails as a full disk does, and leaves the
    /// transaction in the same state.
    #[tokio::test]
    async fn the_writer_works_on_after_a_full_disk() {
        let directory = tempfile::tempdir().unwrap();
        let file = SqliteFile::open(&directory.path().join("acme.db"), &USAGE).await.unwrap();
        let mut tx = file.begin().await.unwrap();
        fill(&mut tx, "before").await.unwrap();
        tx.commit().await.unwrap();
        for round in 0..3 {
            let mut tx = file.begin().await.unwrap();
            sqlx::query("PRAGMA max_page_count = 1").execute(&mut *tx).await.unwrap();
            let full = loop {
                if let Err(error) = fill(&mut tx, &format!("lost {round}")).await {
                    break error;
                }
            };
            assert_eq!(sqlx_kind(&full), FaultKind::Unavailable, "{full}");
            drop(tx);
            let mut tx = file.begin().await.unwrap();
            fill(&mut tx, &format!("after {round}")).await.unwrap();
            tx.commit().await.unwrap();
        }
        let found: Vec<String> =
            sqlx::query_scalar("SELECT document_id FROM document_texts ORDER BY document_id")
                .fetch_all(file.read())
                .await
                .unwrap();
        assert_eq!(found, ["after 0", "after 1", "after 2", "before"]);
    }
}
