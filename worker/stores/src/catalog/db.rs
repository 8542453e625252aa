//! PostgreSQL and SQLite behind one type: transactions with a name and a deadline, restricted to one tenant's rows
//! or to one purpose.
//!
//! On PostgreSQL each transaction declares whose rows it may see, and row level security enforces that. In a SQLite
//! file every statement has to name its tenant; a transaction that writes holds the file's write lock from its
//! beginning (`BEGIN IMMEDIATE`), so that what it reads stays true until it ends.
//!
//! Each trip to a database is a trace event of the target [`TRIPS`] with the operation's name.

use std::sync::Arc;
use std::time::Duration;

use jobs::tenant::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, Transaction};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::dialect::{Read, Row, Sql, sql};
use super::measures::Connections;
use crate::deadline::{BULK, CALL, late};
use crate::embedded::{SqliteFile, sqlite_error_kind};
use crate::error::{FaultKind, StoreError};
use crate::metrics;
use crate::ports::StoreResult;
#[cfg(feature = "postgres")]
use crate::postgres::{OpenTransaction, Postgres, postgres_error_kind};

/// The target of the trace events that tell of each trip to a database.
pub const TRIPS: &str = "stores::trips";

/// A database.
#[derive(Clone)]
pub(crate) enum Db {
    /// PostgreSQL, shared with other processes.
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
    /// A SQLite file.
    Sqlite(Arc<SqliteFile>),
}

/// A purpose that needs some tables across tenants, or tables that belong to no tenant. Each has a PostgreSQL role
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Tenants, keys, members and permissions.
    Directory,
    /// The outbox, due schedules and settings for the queue.
    Relay,
    /// Accounts, sessions and memberships.
    Identity,
}

/// Whose rows a transaction sees.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a file knows no roles"))]
pub(crate) enum Whose {
    /// The rows of one tenant.
    Tenant(TenantId),
    /// The rows that a purpose needs, of every tenant.
    Reader(Reader),
    /// No rows: for statements about the database itself.
    NoTenant,
}

/// What a transaction does. On both databases one that reads cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "a file has connections of their own for reading")
)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Db {
    /// The connections of this process.
    pub(crate) fn connections(&self) -> Connections {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.connections(),
            Self::Sqlite(file) => file.connections(),
        }
    }

    /// A view of one tenant's rows.
    pub(crate) fn tenant(&self, tenant: &TenantId) -> View {
        View { db: self.clone(), whose: Whose::Tenant(tenant.clone()) }
    }

    /// A view of the rows that a purpose needs, of every tenant.
    pub(crate) fn reader(&self, reader: Reader) -> View {
        View { db: self.clone(), whose: Whose::Reader(reader) }
    }
}

/// A database, restricted to some rows.
#[derive(Clone)]
pub(crate) struct View {
    db: Db,
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a file knows no roles"))]
    whose: Whose,
}

impl View {
    /// Begins a transaction that writes.
    pub(crate) async fn write(&self, operation: &'static str) -> StoreResult<Tx> {
        self.begin(operation, CALL).await
    }

    /// As [`View::write`], with the longer deadline of calls that move a whole document or more.
    pub(crate) async fn write_bulk(&self, operation: &'static str) -> StoreResult<Tx> {
        self.begin(operation, BULK).await
    }

    async fn begin(&self, operation: &'static str, limit: Duration) -> StoreResult<Tx> {
        let call = Call::new(operation, limit);
        let inner = match &self.db {
            #[cfg(feature = "postgres")]
            Db::Postgres(postgres) => self.begin_on(postgres, call, Access::Write).await?,
            Db::Sqlite(file) => {
                let transaction =
                    call.within(file.write().begin_with("BEGIN IMMEDIATE"), sqlite_error_kind).await?;
                Inner::Sqlite { transaction, file: Arc::clone(file), leaves_traces: false }
            }
        };
        Ok(Tx { inner, call })
    }

    /// Begins a transaction for reading. On SQLite there is none, and each statement sees what is committed when it
    /// begins.
    pub(crate) async fn read(&self, operation: &'static str) -> StoreResult<Tx> {
        let call = Call::new(operation, CALL);
        let inner = match &self.db {
            #[cfg(feature = "postgres")]
            Db::Postgres(postgres) => self.begin_on(postgres, call, Access::Read).await?,
            // No trip: a connection of this process.
            Db::Sqlite(file) => {
                Inner::SqliteReader(call.in_time(file.read().acquire(), sqlite_error_kind).await?)
            }
        };
        Ok(Tx { inner, call })
    }

    #[cfg(feature = "postgres")]
    async fn begin_on(&self, postgres: &Postgres, call: Call, access: Access) -> StoreResult<Inner> {
        let begin = Box::pin(postgres.begin(&self.whose, call.operation, call.limit, access));
        call.within(begin, postgres_error_kind).await.map(Inner::Postgres)
    }

    /// Runs a single reading statement that returns at most one row.
    pub(crate) async fn optional<T>(
        &self,
        operation: &'static str,
        sql: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<Option<T>> {
        let mut tx = self.read(operation).await?;
        let row = tx.optional(sql, read).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Runs a single reading statement that returns exactly one row.
    pub(crate) async fn one<T>(
        &self,
        operation: &'static str,
        sql: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<T> {
        let mut tx = self.read(operation).await?;
        let row = tx.one(sql, read).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Runs a single reading statement and returns all rows.
    pub(crate) async fn all<T>(
        &self,
        operation: &'static str,
        sql: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<Vec<T>> {
        let mut tx = self.read(operation).await?;
        let rows = tx.all(sql, read).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Runs a single writing statement that returns the rows that it changed.
    pub(crate) async fn returning<T>(
        &self,
        operation: &'static str,
        sql: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<Vec<T>> {
        match &self.db {
            #[cfg(feature = "postgres")]
            Db::Postgres(_) => {
                let mut tx = self.begin(operation, CALL).await?;
                let rows = tx.all(sql, read).await?;
                tx.commit().await?;
                Ok(rows)
            }
            // A single statement is a transaction by itself.
            Db::Sqlite(file) => {
                let call = Call::new(operation, CALL);
                let rows = call.within(sql.sqlite().fetch_all(file.write()), sqlite_error_kind).await?;
                let rows = rows.into_iter().map(|row| read(&Row::Sqlite(row)));
                rows.collect::<sqlx::Result<_>>().map_err(|error| call.unreadable(error))
            }
        }
    }

    /// Runs a single writing statement. Returns the number of rows that it changed.
    pub(crate) async fn execute(&self, operation: &'static str, sql: Sql<'_>) -> StoreResult<u64> {
        match &self.db {
            #[cfg(feature = "postgres")]
            Db::Postgres(_) => {
                let mut tx = self.begin(operation, CALL).await?;
                let rows = tx.execute(sql).await?;
                tx.commit().await?;
                Ok(rows)
            }
            // A single statement is a transaction by itself.
            Db::Sqlite(file) => {
                let done = sql.sqlite().execute(file.write());
                Ok(Call::new(operation, CALL).within(done, sqlite_error_kind).await?.rows_affected())
            }
        }
    }
}

/// The name and the deadline of a call.
#[derive(Clone, Copy)]
struct Call {
    operation: &'static str,
    deadline: Instant,
    limit: Duration,
}

impl Call {
    fn new(operation: &'static str, limit: Duration) -> Self {
        Self { operation, deadline: Instant::now() + limit, limit }
    }

    /// Makes a trip to the database.
    async fn within<T>(
        self,
        trip: impl Future<Output = sqlx::Result<T>>,
        kind: fn(&sqlx::Error) -> FaultKind,
    ) -> StoreResult<T> {
        tracing::trace!(target: TRIPS, operation = self.operation);
        self.in_time(trip, kind).await
    }

    async fn in_time<T>(
        self,
        work: impl Future<Output = sqlx::Result<T>>,
        kind: fn(&sqlx::Error) -> FaultKind,
    ) -> StoreResult<T> {
        let begun = Instant::now();
        let done =
            tokio::time::timeout_at(self.deadline, work).instrument(metrics::call_span(self.operation)).await;
        metrics::called(self.operation, begun.elapsed(), matches!(done, Ok(Ok(_))));
        match done {
            Ok(done) => done.map_err(|error| StoreError::of(kind(&error), self.operation, error)),
            Err(_) => Err(late(self.operation, self.limit)),
        }
    }

    fn unreadable(self, error: sqlx::Error) -> StoreError {
        StoreError::permanent(self.operation, error)
    }
}

enum Inner {
    #[cfg(feature = "postgres")]
    Postgres(OpenTransaction),
    Sqlite {
        transaction: Transaction<'static, Sqlite>,
        file: Arc<SqliteFile>,
        leaves_traces: bool,
    },
    SqliteReader(PoolConnection<Sqlite>),
}

/// A transaction, rolled back when dropped without [`Tx::commit`].
pub(crate) struct Tx {
    inner: Inner,
    call: Call,
}

/// Calls a method of the driver with a statement, under the deadline of the transaction.
macro_rules! run {
    ($self:ident, $sql:ident, $method:ident, $row:expr) => {{
        let call = $self.call;
        match &mut $self.inner {
            #[cfg(feature = "postgres")]
            Inner::Postgres(transaction) => {
                let work = $sql.postgres().$method(&mut **transaction);
                call.within(Box::pin(work), postgres_error_kind).await.map($row(Row::Postgres))
            }
            Inner::Sqlite { transaction, .. } => {
                let work = $sql.sqlite().$method(&mut **transaction);
                call.within(Box::pin(work), sqlite_error_kind).await.map($row(Row::Sqlite))
            }
            Inner::SqliteReader(reader) => {
                let work = $sql.sqlite().$method(&mut **reader);
                call.within(Box::pin(work), sqlite_error_kind).await.map($row(Row::Sqlite))
            }
        }
    }};
}

fn of_one<R>(row: fn(R) -> Row) -> impl Fn(R) -> Row {
    row
}

fn of_optional<R>(row: fn(R) -> Row) -> impl Fn(Option<R>) -> Option<Row> {
    move |found| found.map(row)
}

fn of_all<R>(row: fn(R) -> Row) -> impl Fn(Vec<R>) -> Vec<Row> {
    move |found| found.into_iter().map(row).collect()
}

impl Tx {
    /// The name of the operation, such as `catalog.accept`.
    pub(crate) const fn operation(&self) -> &'static str {
        self.call.operation
    }

    /// From here on the transaction sees the rows of another tenant, and no longer those of the one before.
    pub(crate) async fn turn_to(&mut self, tenant: &TenantId) -> StoreResult<()> {
        #[cfg(feature = "postgres")]
        if let Inner::Postgres(transaction) = &mut self.inner {
            let call = self.call;
            return call.within(Box::pin(transaction.turn_to(tenant)), postgres_error_kind).await;
        }
        let _ = tenant;
        Ok(())
    }

    /// Runs a statement. Returns the number of rows that it changed.
    pub(crate) async fn execute(&mut self, sql: Sql<'_>) -> StoreResult<u64> {
        let call = self.call;
        match &mut self.inner {
            #[cfg(feature = "postgres")]
            Inner::Postgres(transaction) => {
                let work = sql.postgres().execute(&mut **transaction);
                call.within(Box::pin(work), postgres_error_kind).await.map(|done| done.rows_affected())
            }
            Inner::Sqlite { transaction, .. } => {
                let work = sql.sqlite().execute(&mut **transaction);
                call.within(Box::pin(work), sqlite_error_kind).await.map(|done| done.rows_affected())
            }
            Inner::SqliteReader(reader) => {
                let work = sql.sqlite().execute(&mut **reader);
                call.within(Box::pin(work), sqlite_error_kind).await.map(|done| done.rows_affected())
            }
        }
    }

    /// Runs statements that change rows of different tables, one after the other; on PostgreSQL in one trip, where none
    /// of them sees what another one changed. Returns the number of rows that each changed.
    pub(crate) async fn execute_all(&mut self, statements: Vec<Sql<'_>>) -> StoreResult<Vec<u64>> {
        #[cfg(feature = "postgres")]
        if matches!(self.inner, Inner::Postgres(_)) && statements.len() > 1 {
            return self.all(Sql::together(statements), |row| row.number("total")).await;
        }
        let mut changed = Vec::with_capacity(statements.len());
        for statement in statements {
            changed.push(self.execute(statement).await?);
        }
        Ok(changed)
    }

    /// Runs a statement that takes advisory locks of PostgreSQL, which are held until the transaction ends. Does
    /// nothing on SQLite, where a transaction that writes has no concurrent writers.
    pub(crate) async fn lock(&mut self, sql: Sql<'_>) -> StoreResult<()> {
        match &self.inner {
            #[cfg(feature = "postgres")]
            Inner::Postgres(_) => self.execute(sql).await.map(drop),
            Inner::Sqlite { .. } | Inner::SqliteReader(_) => {
                drop(sql);
                Ok(())
            }
        }
    }

    /// Runs a statement that returns at most one row.
    pub(crate) async fn optional<T>(&mut self, sql: Sql<'_>, read: Read<T>) -> StoreResult<Option<T>> {
        let row = run!(self, sql, fetch_optional, of_optional)?;
        row.as_ref().map(read).transpose().map_err(|error| self.call.unreadable(error))
    }

    /// Runs a statement that returns exactly one row.
    pub(crate) async fn one<T>(&mut self, sql: Sql<'_>, read: Read<T>) -> StoreResult<T> {
        let row = run!(self, sql, fetch_one, of_one)?;
        read(&row).map_err(|error| self.call.unreadable(error))
    }

    /// Runs a statement and returns all rows.
    pub(crate) async fn all<T>(&mut self, sql: Sql<'_>, read: Read<T>) -> StoreResult<Vec<T>> {
        let rows = run!(self, sql, fetch_all, of_all)?;
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(|error| self.call.unreadable(error))
    }

    /// Commits. After an error the outcome is unknown: the commit may have happened. A transaction that only reads ends
    /// behind the caller's back: its rows are there, and there is nothing to commit.
    pub(crate) async fn commit(self) -> StoreResult<()> {
        match self.inner {
            #[cfg(feature = "postgres")]
            Inner::Postgres(transaction) if transaction.only_reads() => Ok(()),
            #[cfg(feature = "postgres")]
            Inner::Postgres(transaction) => {
                let commit = Box::pin(transaction.commit());
                self.call.within(commit, postgres_error_kind).await
            }
            Inner::Sqlite { transaction, file, leaves_traces } => {
                self.call.within(Box::pin(transaction.commit()), sqlite_error_kind).await?;
                if leaves_traces {
                    file.scrub_noted();
                }
                Ok(())
            }
            Inner::SqliteReader(_) => Ok(()),
        }
    }

    /// Switches to another role of PostgreSQL, which may access other tables; `None` switches back to the original
    /// role.
    pub(crate) async fn become_reader(&mut self, reader: Option<Reader>) -> StoreResult<()> {
        #[cfg(feature = "postgres")]
        if let Inner::Postgres(_) = self.inner {
            let role = reader.map_or("set local role none", Reader::set_role);
            return self.execute(sql(role)).await.map(drop);
        }
        let _ = reader;
        Ok(())
    }

    /// Declares that this transaction deletes data that no part of the database may keep. PostgreSQL sees to that
    /// by itself (`VACUUM`); a SQLite file is scrubbed soon after the commit.
    pub(crate) async fn leave_no_traces(&mut self) -> StoreResult<()> {
        let call = self.call;
        if let Inner::Sqlite { transaction, leaves_traces, .. } = &mut self.inner {
            call.within(crate::embedded::note_deletion(transaction), sqlite_error_kind).await?;
            *leaves_traces = true;
        }
        Ok(())
    }

    /// Deletes the tenant's rows from every table that has a `tenant_id` but `tenants` itself. The list of tables
    /// is read from the database, so that a table added later is included.
    pub(crate) async fn tenant_rows_delete(&mut self, tenant: &TenantId) -> StoreResult<()> {
        match &self.inner {
            #[cfg(feature = "postgres")]
            Inner::Postgres(_) => {
                for table in self.all(sql(TABLES_POSTGRES), |row| row.text("name")).await? {
                    // The application's own role may only add to the audit log.
                    let is_append_only = table == "audit_log";
                    if is_append_only {
                        self.become_reader(Some(Reader::Relay)).await?;
                    }
                    self.table_rows_delete(&format!("public.{table}"), tenant).await?;
                    if is_append_only {
                        self.become_reader(None).await?;
                    }
                }
            }
            _ => {
                // Rows refer to other rows that are deleted in the same transaction.
                self.execute(sql("pragma defer_foreign_keys = on")).await?;
                for table in self.all(sql(TABLES_SQLITE), |row| row.text("name")).await? {
                    self.table_rows_delete(&format!("\"{table}\""), tenant).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the tenant's rows from one table. `table` is a name as the database quotes it.
    async fn table_rows_delete(&mut self, table: &str, tenant: &TenantId) -> StoreResult<()> {
        let text = format!("delete from {table} where tenant_id = $1");
        self.execute(Sql::of_table(text).bind(tenant.as_str())).await.map(drop)
    }
}

/// Orders tables so that referenced ones come last.
#[cfg(feature = "postgres")]
const TABLES_POSTGRES: &str = "
select quote_ident(c.relname) as name from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'tenants'
order by exists (select from pg_constraint where contype = 'f' and confrelid = c.oid), 1";

const TABLES_SQLITE: &str = "
select name from sqlite_master as found where type = 'table' and name <> 'tenants'
    and exists (select 1 from pragma_table_info(found.name) where name = 'tenant_id')";
