//! A transaction with a name and a deadline.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use tokio::time::Instant;

use super::fault::fault;
use super::pool::{OpenTransaction, Postgres};
use crate::catalog::{Access, Whose};
use crate::deadline::late;
use crate::ports::StoreResult;

/// A statement with its arguments.
pub(super) type Sql<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Reads one row.
pub(super) type Read<T> = fn(&PgRow) -> sqlx::Result<T>;

/// A transaction, rolled back when dropped without [`Tx::commit`].
pub(crate) struct Tx {
    inner: OpenTransaction,
    operation: &'static str,
    deadline: Instant,
    limit: Duration,
}

impl Tx {
    /// Begins a transaction under the deadline `limit`.
    pub(super) async fn begin(
        postgres: &Postgres,
        whose: &Whose,
        operation: &'static str,
        limit: Duration,
    ) -> StoreResult<Self> {
        let deadline = Instant::now() + limit;
        let inner =
            within(deadline, limit, operation, postgres.begin(whose, operation, limit, Access::Write))
                .await?;
        Ok(Self { inner, operation, deadline, limit })
    }

    /// Runs a statement. Returns the number of rows that it changed.
    pub(super) async fn execute(&mut self, sql: Sql<'_>) -> StoreResult<u64> {
        let (deadline, limit, operation) = (self.deadline, self.limit, self.operation);
        let done = within(deadline, limit, operation, sql.execute(&mut *self.inner)).await?;
        Ok(done.rows_affected())
    }

    /// Runs a statement that returns exactly one row.
    pub(super) async fn one<T>(&mut self, sql: Sql<'_>, read: Read<T>) -> StoreResult<T> {
        let (deadline, limit, operation) = (self.deadline, self.limit, self.operation);
        let row = within(deadline, limit, operation, sql.fetch_one(&mut *self.inner)).await?;
        read(&row).map_err(fault(operation))
    }

    /// Commits.
    pub(crate) async fn commit(self) -> StoreResult<()> {
        within(self.deadline, self.limit, self.operation, self.inner.commit()).await
    }
}

async fn within<T>(
    deadline: Instant,
    limit: Duration,
    operation: &'static str,
    work: impl Future<Output = sqlx::Result<T>>,
) -> StoreResult<T> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(done) => done.map_err(fault(operation)),
        Err(_) => Err(late(operation, limit)),
    }
}
