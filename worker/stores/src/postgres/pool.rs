//! The connection pool and the transactions on it.

use std::time::Duration;

use jobs::tenant::TenantId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Transaction};

use super::tx::Tx;
use crate::catalog::{Reader, Whose};
use crate::deadline::{BULK, CALL};
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
            // A connection with an open transaction is not reused: what begins inside of another transaction would
            // never be committed.
            .before_acquire(|connection, _| {
                let at_rest = !connection.is_in_transaction();
                Box::pin(async move { Ok(at_rest) })
            })
            .connect_lazy_with(options);
        Self { pool }
    }

    /// Begins a transaction named `operation` that sees the rows of `whose` and no others. `limit` is the deadline
    /// of each of its statements and of each wait for a lock.
    pub(crate) async fn begin(
        &self,
        whose: &Whose,
        operation: &'static str,
        limit: Duration,
    ) -> sqlx::Result<Transaction<'static, sqlx::Postgres>> {
        let mut transaction = self.pool.begin().await?;
        match whose {
            Whose::Tenant(tenant) => enter(&mut transaction, tenant, operation, limit).await?,
            // Sent only after BEGIN has succeeded: otherwise a call that is dropped half-way could return a
            // connection that keeps the role.
            Whose::Reader(reader) => {
                sqlx::query(reader.set_role()).execute(&mut *transaction).await?;
            }
            Whose::NoTenant => {}
        }
        Ok(transaction)
    }

    /// A transaction named `operation` that sees no row of any tenant.
    pub(super) async fn no_tenant_tx(&self, operation: &'static str) -> StoreResult<Tx> {
        Tx::begin(self, &Whose::NoTenant, operation, CALL).await
    }
}

/// The only place that declares which tenant's rows a transaction sees. The operation's name is set too, so that
/// the server's log and `pg_stat_activity` show it.
async fn enter(
    connection: &mut PgConnection,
    tenant: &TenantId,
    operation: &'static str,
    limit: Duration,
) -> sqlx::Result<()> {
    let enter = sqlx::query(
        "select set_config('app.tenant_id', $1, true), set_config('application_name', $2, true), \
         set_config('statement_timeout', $3, true), set_config('lock_timeout', $3, true)",
    );
    enter
        .bind(tenant.as_str())
        .bind(operation)
        .bind(limit.as_millis().to_string())
        .execute(connection)
        .await?;
    Ok(())
}
