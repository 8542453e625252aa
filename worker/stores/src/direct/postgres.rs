use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::DirectError;

/// PostgreSQL as any role.
#[derive(Clone)]
pub struct DirectPostgres {
    pool: PgPool,
}

impl DirectPostgres {
    /// Connects as the role of `url`.
    pub async fn connect(url: &str) -> Result<Self, DirectError> {
        Ok(Self { pool: PgPoolOptions::new().max_connections(4).connect(url).await? })
    }

    /// The rows of a query as JSON objects, in a transaction that first runs `before` (such as a
    /// `set_config`).
    pub async fn rows(&self, before: &str, query: &str) -> Result<Vec<Value>, DirectError> {
        let mut tx = self.pool.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(before)).execute(&mut *tx).await?;
        let query = format!("select to_jsonb(row) from ({query}) as row");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Runs statements in one transaction and keeps what they did.
    pub async fn execute(&self, statements: &str) -> Result<(), DirectError> {
        let mut tx = self.pool.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Runs one statement that no transaction may contain, such as `create database`.
    pub async fn execute_alone(&self, statement: &str) -> Result<(), DirectError> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
