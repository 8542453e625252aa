//! The connection pool and the transactions on it.
//!
//! A trip to the server costs a request more than most of its statements, so a transaction begins with a single one:
//! `BEGIN` and the declaration of whose rows it sees are one message, and a connection is not asked first whether it is
//! alive.

use std::fmt::Write as _;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use jobs::tenant::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, PgPool};

use super::fault::kind;
use super::tx::Tx;
use crate::catalog::{Access, Connections, Reader, Whose};
use crate::deadline::{BULK, CALL};
use crate::error::FaultKind;
use crate::ports::StoreResult;

/// Connections per process, enough for a worker's handlers and the API at the same time.
const CONNECTIONS_MAX: u32 = 16;
/// How long to wait for a connection, new or in use.
const ACQUIRE: Duration = Duration::from_secs(5);

/// The pool of connections with the application's role.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: PgPool,
}

impl Reader {
    /// The statement that switches a transaction to this purpose's role.
    pub(crate) const fn set_role(self) -> &'static str {
        match self {
            Self::Directory => "set local role tenantry_directory",
            Self::Relay => "set local role tenantry_relay",
            Self::Identity => "set local role tenantry_identity",
        }
    }
}

impl Postgres {
    /// A pool that connects on demand.
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        let options = options
            .application_name("tenantry")
            .options([
                ("statement_timeout", CALL.as_millis().to_string()),
                ("lock_timeout", CALL.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", BULK.as_millis().to_string()),
                // Tables of accounts and of all queues are in the schema of the bookkeeping.
                ("search_path", "public,tenantry".to_owned()),
            ])
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(2));
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE)
            // A connection that the server has closed is noticed by `begin`, which takes the next one.
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self { pool }
    }

    /// The connections of the pool.
    pub(crate) fn connections(&self) -> Connections {
        let (open, idle) = (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX));
        Connections { store: "postgres", used: open.saturating_sub(idle), idle, most: CONNECTIONS_MAX }
    }

    /// Begins a transaction named `operation` that sees the rows of `whose` and no others. `limit` is the deadline
    /// of each of its statements and of each wait for a lock.
    pub(crate) async fn begin(
        &self,
        whose: &Whose,
        operation: &'static str,
        limit: Duration,
        access: Access,
    ) -> sqlx::Result<OpenTransaction> {
        let beginning = beginning(whose, operation, limit, access);
        let mut closed = 0;
        loop {
            let mut transaction = OpenTransaction { connection: Some(self.pool.acquire().await?), access };
            match sqlx::raw_sql(AssertSqlSafe(beginning.clone())).execute(&mut *transaction).await {
                Ok(_) => return Ok(transaction),
                // An idle connection may be of a server that was restarted since. Nothing was asked of it yet.
                Err(error) if closed < CONNECTIONS_MAX && kind(&error) == FaultKind::Unavailable => {
                    closed += 1;
                    transaction.close();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A transaction named `operation` that sees no row of any tenant.
    pub(super) async fn no_tenant_tx(&self, operation: &'static str) -> StoreResult<Tx> {
        Tx::begin(self, &Whose::NoTenant, operation, CALL).await
    }
}

/// The only place that declares whose rows a transaction sees.
fn see_rows_of(statements: &mut String, tenant: &TenantId) {
    set_local(statements, "app.tenant_id", tenant.as_str());
}

/// How a transaction begins. The operation's name is set too, so that the server's
/// log and `pg_stat_activity` show it.
fn beginning(whose: &Whose, operation: &'static str, limit: Duration, access: Access) -> String {
    let mut statements = match access {
        Access::Write => "begin".to_owned(),
        Access::Read => "begin read only".to_owned(),
    };
    match whose {
        Whose::Tenant(tenant) => {
            see_rows_of(&mut statements, tenant);
            set_local(&mut statements, "application_name", operation);
            // Otherwise they are those of the connection.
            if limit != CALL {
                let limit = limit.as_millis().to_string();
                set_local(&mut statements, "statement_timeout", &limit);
                set_local(&mut statements, "lock_timeout", &limit);
            }
        }
        Whose::Reader(reader) => {
            statements.push_str("; ");
            statements.push_str(reader.set_role());
        }
        Whose::NoTenant => {}
    }
    statements
}

/// The values are ids of tenants and names of operations. A quote in one would still be only a quote.
fn set_local(statements: &mut String, setting: &str, value: &str) {
    let separator = if statements.is_empty() { "" } else { "; " };
    let _ = write!(statements, "{separator}set local {setting} = '{}'", value.replace('\'', "''"));
}

/// A transaction on a connection of the pool. Dropped without [`OpenTransaction::commit`], it is rolled back before the
/// connection is used again.
pub(crate) struct OpenTransaction {
    /// `None` once it has ended.
    connection: Option<PoolConnection<sqlx::Postgres>>,
    access: Access,
}

impl OpenTransaction {
    pub(crate) fn only_reads(&self) -> bool {
        self.access == Access::Read
    }

    /// Sees the rows of another tenant from here on.
    pub(crate) async fn turn_to(&mut self, tenant: &TenantId) -> sqlx::Result<()> {
        let mut statement = String::new();
        see_rows_of(&mut statement, tenant);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut **self).await.map(drop)
    }

    /// Commits.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        sqlx::raw_sql("commit").execute(&mut *self).await?;
        self.connection = None;
        Ok(())
    }

    /// Gives the connection up.
    fn close(mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // A task, because the caller does not wait: it has its rows, was refused, or hung up.
        tokio::spawn(async move {
            let rollback = sqlx::raw_sql("rollback").execute(&mut *connection);
            if !matches!(tokio::time::timeout(BULK, rollback).await, Ok(Ok(_))) {
                connection.close_on_drop();
            }
        });
    }
}

const OPEN: &str = "a transaction has its connection until it ends";

impl Deref for OpenTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(OPEN)
    }
}

impl DerefMut for OpenTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(OPEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_with_one_message() {
        let begun = |whose, limit, access| beginning(&whose, "catalog.accept", limit, access);
        let acme = || Whose::Tenant("acme-2".parse().unwrap());
        assert_eq!(
            begun(acme(), CALL, Access::Write),
            "begin; set local app.tenant_id = 'acme-2'; set local application_name = 'catalog.accept'"
        );
        let bulk = begun(acme(), BULK, Access::Read);
        assert!(bulk.starts_with("begin read only; set local app.tenant_id = 'acme-2'; "), "{bulk}");
        assert!(
            bulk.ends_with("; set local statement_timeout = '120000'; set local lock_timeout = '120000'")
        );
        let reader = begun(Whose::Reader(Reader::Relay), CALL, Access::Read);
        assert_eq!(reader, "begin read only; set local role tenantry_relay");
        assert_eq!(begun(Whose::NoTenant, CALL, Access::Write), "begin");
    }

    #[test]
    fn a_quote_ends_no_value() {
        let mut statements = String::new();
        set_local(&mut statements, "app.tenant_id", "it's");
        assert_eq!(statements, "set local app.tenant_id = 'it''s'");
    }
}
