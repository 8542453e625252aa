//! Removing a workspace.

use jobs::tenant::TenantId;
use neo4rs::Query;

use super::bolt::Neo4j;
use super::cypher::TenantCypher;
use crate::deadline::BULK;
use crate::error::StoreError;
use crate::model::WorkspaceId;
use crate::ports::StoreResult;
use crate::tenant_cypher;

const FORGET: &str = "graph.forget";

/// Some nodes at a time, with their edges: one transaction over a large graph takes more memory than Neo4j gives.
const NODES_DELETE: TenantCypher = tenant_cypher!(
    "MATCH (n:{workspace}) WHERE n.tenant_id = $tenant_id WITH n LIMIT 5000 \
     DETACH DELETE n RETURN count(*) AS gone"
);

impl Neo4j {
    /// Removes a workspace's nodes and edges, and the constraint that was made for it.
    pub(crate) async fn forget(&self, tenant: &TenantId, workspace: &WorkspaceId) -> StoreResult<()> {
        loop {
            let rows = self.read(FORGET, NODES_DELETE.query(tenant, workspace)).await?;
            let gone: i64 = match rows.first() {
                Some(row) => row.get("gone").map_err(|error| StoreError::permanent(FORGET, error))?,
                None => 0,
            };
            if gone == 0 {
                break;
            }
        }
        // DDL takes no parameters and names no tenant's data: the label is all there is.
        let text = format!("DROP CONSTRAINT `{workspace}_entity_id` IF EXISTS");
        self.write(FORGET, BULK, vec![Query::new(text)]).await
    }
}
