//! Direct access to the servers, past every port and tenant scope, for tests that compare what a tenant sees with
//! what is stored.

#[cfg(feature = "mongo")]
use mongodb::bson::{Document, doc};
#[cfg(feature = "mongo")]
use mongodb::{Client, Database};
#[cfg(feature = "neo4j")]
use neo4rs::{Graph, Query};
#[cfg(any(feature = "postgres", feature = "mongo", feature = "neo4j"))]
use serde_json::Value;
use sqlx::AssertSqlSafe;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgPoolOptions;
#[cfg(feature = "postgres")]
use sqlx::{PgPool, Row as _};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// A driver's error.
pub type DirectError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "postgres")]
/// A PostgreSQL connection as any role.
#[derive(Clone)]
pub struct DirectPostgres {
    pool: PgPool,
}

#[cfg(feature = "postgres")]
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

    /// Runs statements in one transaction and commits.
    pub async fn execute(&self, statements: &str) -> Result<(), DirectError> {
        let mut tx = self.pool.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Runs one statement that cannot run in a transaction, such as `create database`.
    pub async fn execute_alone(&self, statement: &str) -> Result<(), DirectError> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A SQLite file.
pub struct DirectSqlite {
    connection: SqliteConnection,
}

impl DirectSqlite {
    /// Opens the file, or makes it.
    pub async fn open(path: &std::path::Path) -> Result<Self, DirectError> {
        // The statements of a dump are in no order that foreign keys would allow.
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false);
        Ok(Self { connection: SqliteConnection::connect_with(&options).await? })
    }

    /// Runs statements.
    pub async fn execute(&mut self, statements: &str) -> Result<(), DirectError> {
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connection).await?;
        Ok(())
    }

    /// The first column of a query's rows, which is text.
    pub async fn texts(&mut self, query: &str) -> Result<Vec<String>, DirectError> {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut self.connection).await?)
    }

    /// Closes the file.
    pub async fn close(self) -> Result<(), DirectError> {
        Ok(self.connection.close().await?)
    }
}

#[cfg(feature = "mongo")]
/// The MongoDB database of texts and extractions.
#[derive(Clone)]
pub struct DirectMongo {
    database: Database,
}

#[cfg(feature = "mongo")]
impl DirectMongo {
    /// Connects to the database of `url`.
    pub async fn connect(url: &str) -> Result<Self, DirectError> {
        let client = Client::with_uri_str(url).await?;
        let database = client.default_database().ok_or("the URL names no database")?;
        Ok(Self { database })
    }

    /// The names of all collections.
    pub async fn collections(&self) -> Result<Vec<String>, DirectError> {
        let mut names = self.database.list_collection_names().await?;
        names.retain(|name| !name.starts_with("system."));
        names.sort();
        Ok(names)
    }

    /// Every document of a collection, without its `text` or `content`.
    pub async fn documents(&self, collection: &str) -> Result<Vec<Value>, DirectError> {
        let mut cursor = self
            .database
            .collection::<Document>(collection)
            .find(doc! {})
            .projection(doc! { "text": 0, "content": 0 })
            .await?;
        let mut documents = Vec::new();
        while cursor.advance().await? {
            documents.push(serde_json::to_value(cursor.deserialize_current()?)?);
        }
        Ok(documents)
    }

    /// The indexes of a collection: the fields of each, in order.
    pub async fn indexes(&self, collection: &str) -> Result<Vec<Vec<String>>, DirectError> {
        let mut cursor = self.database.collection::<Document>(collection).list_indexes().await?;
        let mut indexes = Vec::new();
        while cursor.advance().await? {
            indexes.push(cursor.deserialize_current()?.keys.keys().cloned().collect());
        }
        Ok(indexes)
    }
}

#[cfg(feature = "neo4j")]
/// The Neo4j server.
#[derive(Clone)]
pub struct DirectNeo4j {
    graph: Graph,
}

#[cfg(feature = "neo4j")]
impl DirectNeo4j {
    /// Connects to the server of `url`, without authentication.
    pub async fn connect(url: &str) -> Result<Self, DirectError> {
        Ok(Self { graph: Graph::new(url, "neo4j", "").await? })
    }

    /// The rows of a query as JSON objects.
    pub async fn rows(&self, cypher: &str) -> Result<Vec<Value>, DirectError> {
        let mut txn = self.graph.start_txn().await?;
        let mut stream = txn.execute(Query::new(cypher.to_owned())).await?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next(txn.handle()).await? {
            rows.push(row.to()?);
        }
        txn.commit().await?;
        Ok(rows)
    }
}
