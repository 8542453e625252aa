use neo4rs::{Graph, Query};
use serde_json::Value;

use super::DirectError;

/// The graph server.
#[derive(Clone)]
pub struct DirectNeo4j {
    graph: Graph,
}

impl DirectNeo4j {
    /// Connects to the server of `url`, which asks for no password.
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
