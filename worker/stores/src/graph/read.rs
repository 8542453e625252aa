//! Reading entities and relations.

use jobs::tenant::TenantId;
use neo4rs::Row;

use super::bolt::Neo4j;
use super::cypher::TenantCypher;
use crate::error::StoreError;
use crate::model::{Entity, Page, Relation, RelationCursor, WorkspaceId};
use crate::page;
use crate::ports::StoreResult;
use crate::tenant_cypher;

const COUNTS: &str = "graph.counts";
const ENTITIES: &str = "graph.entities";
const RELATIONS: &str = "graph.relations";

const ENTITIES_COUNT: TenantCypher =
    tenant_cypher!("MATCH (n:{workspace}) WHERE n.tenant_id = $tenant_id RETURN count(n) AS total");

const RELATIONS_COUNT: TenantCypher = tenant_cypher!(
    "MATCH (:{workspace})-[r:DIRECTED]->(:{workspace}) WHERE r.tenant_id = $tenant_id RETURN count(r) AS total"
);

const ENTITIES_PAGE: TenantCypher = tenant_cypher!(
    "MATCH (n:{workspace}) WHERE n.entity_id > $after AND n.tenant_id = $tenant_id \
     RETURN n.entity_id AS name, n.entity_type AS type, n.description AS description, \
            n.source_id AS source_id, n.file_path AS file_path \
     ORDER BY n.entity_id LIMIT $limit"
);

const RELATIONS_PAGE: TenantCypher = tenant_cypher!(
    "MATCH (a:{workspace})-[r:DIRECTED]->(b:{workspace}) \
     WHERE a.entity_id >= $source AND (a.entity_id > $source OR b.entity_id > $target) AND r.tenant_id = $tenant_id \
     RETURN a.entity_id AS source, b.entity_id AS target, r.keywords AS keywords, r.description AS description, \
            r.weight AS weight, r.source_id AS source_id, r.file_path AS file_path \
     ORDER BY a.entity_id, b.entity_id LIMIT $limit"
);

impl Neo4j {
    /// How many entities and relations there are.
    pub(crate) async fn counts(&self, tenant: &TenantId, workspace: &WorkspaceId) -> StoreResult<(u64, u64)> {
        let mut totals = [0; 2];
        for (total, cypher) in totals.iter_mut().zip([ENTITIES_COUNT, RELATIONS_COUNT]) {
            for row in self.read(COUNTS, cypher.query(tenant, workspace)).await? {
                let count: i64 = row.get("total").map_err(unreadable(COUNTS))?;
                *total = u64::try_from(count).unwrap_or(0);
            }
        }
        Ok((totals[0], totals[1]))
    }

    /// Entities by name, in code point order, after the name `after`.
    pub(crate) async fn entities(
        &self,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<Entity>> {
        let query = ENTITIES_PAGE.query(tenant, workspace).param("after", after.unwrap_or_default());
        let rows = self.read(ENTITIES, query.param("limit", page::rows_for(limit))).await?;
        let entities = rows.iter().map(Row::to).collect::<Result<_, _>>().map_err(unreadable(ENTITIES))?;
        Ok(page::cut(entities, limit, |entity: &Entity| entity.name.clone()))
    }

    /// Relations by source and target, in code point order, after the cursor `after`.
    pub(crate) async fn relations(
        &self,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>> {
        let (source, target) = after.map_or(("", ""), |after| (after.source.as_str(), after.target.as_str()));
        let query = RELATIONS_PAGE.query(tenant, workspace).param("source", source).param("target", target);
        let rows = self.read(RELATIONS, query.param("limit", page::rows_for(limit))).await?;
        let relations = rows.iter().map(Row::to).collect::<Result<_, _>>().map_err(unreadable(RELATIONS))?;
        Ok(page::cut(relations, limit, |relation: &Relation| relation.cursor().to_string()))
    }
}

fn unreadable(operation: &'static str) -> impl Fn(neo4rs::DeError) -> StoreError {
    move |error| StoreError::permanent(operation, error)
}
