//! How much a change would add to a graph.

use std::collections::HashMap;

use jobs::plan::{Limits, Quota};
use jobs::tenant::TenantId;
use neo4rs::BoltType;

use super::bolt::Neo4j;
use super::cypher::TenantCypher;
use crate::error::StoreError;
use crate::model::{GraphCounts, OverQuota, WorkspaceId, graph_refused};
use crate::ports::StoreResult;
use crate::postgres::GraphChange;
use crate::tenant_cypher;

const ROOM: &str = "graph.room";

/// A workspace belongs to one knowledge base of one tenant, so that whatever bears its label is counted, which
/// the server answers without visiting a node.
const NODES: TenantCypher =
    tenant_cypher!("MATCH (n:{workspace}) WITH count(n) AS total WHERE $tenant_id <> '' RETURN total");

const EDGES: TenantCypher = tenant_cypher!(
    "MATCH (:{workspace})-[r:DIRECTED]->() WITH count(r) AS total WHERE $tenant_id <> '' RETURN total"
);

const NODES_KNOWN: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row MATCH (n:{workspace} {entity_id: row.name}) WHERE n.tenant_id = $tenant_id \
     RETURN count(n) AS total"
);

const EDGES_KNOWN: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row \
     MATCH (:{workspace} {entity_id: row.source})-[r:DIRECTED]-(:{workspace} {entity_id: row.target}) \
     WHERE r.tenant_id = $tenant_id RETURN count(r) AS total"
);

type Row = HashMap<&'static str, BoltType>;

impl Neo4j {
    /// What stands against `change`. Documents that are built at the same moment are not seen: together they can
    /// pass the limit by what they add.
    pub(crate) async fn refused(
        &self,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        change: &GraphChange,
        limits: &Limits,
    ) -> StoreResult<Option<OverQuota>> {
        let mut before = GraphCounts::default();
        let mut after = before;
        if let Some(maximum) = limits.maximum(Quota::EntitiesPerKb) {
            before.entities = self.total(NODES, tenant, workspace, Vec::new()).await?;
            after.entities = before.entities + count(change.entities.len());
            // Whether they are known is asked only where it matters.
            if after.entities > maximum {
                let name = |name: &str| Row::from([("name", name.into())]);
                let rows = change.entities.iter().map(|entity| name(&entity.name)).collect();
                let known = self.total(NODES_KNOWN, tenant, workspace, rows).await?;
                after.entities = after.entities.saturating_sub(known + count(change.entities_gone.len()));
            }
        }
        if let Some(maximum) = limits.maximum(Quota::RelationsPerKb) {
            before.relations = self.total(EDGES, tenant, workspace, Vec::new()).await?;
            after.relations = before.relations + count(change.relations.len());
            if after.relations > maximum {
                let row = |(source, target): (&str, &str)| {
                    Row::from([("source", source.into()), ("target", target.into())])
                };
                let ends = change.relations.iter().map(|edge| (edge.source.as_str(), edge.target.as_str()));
                let known = self.total(EDGES_KNOWN, tenant, workspace, ends.map(row).collect()).await?;
                after.relations = after.relations.saturating_sub(known + count(change.relations_gone.len()));
            }
        }
        Ok(graph_refused(limits, &before, &after))
    }

    async fn total(
        &self,
        cypher: TenantCypher,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        rows: Vec<Row>,
    ) -> StoreResult<u64> {
        let query = cypher.query(tenant, workspace).param("rows", rows);
        let found = self.read(ROOM, query).await?;
        let Some(row) = found.first() else { return Ok(0) };
        let total: i64 = row.get("total").map_err(|error| StoreError::permanent(ROOM, error))?;
        Ok(u64::try_from(total).unwrap_or(0))
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
