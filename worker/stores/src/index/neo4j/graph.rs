//! Reads and writes the graph of a knowledge base.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jobs::plan::{Limits, Quota};
use jobs::tenant::TenantId;
use neo4rs::{BoltType, Query};

use super::Neo4j;
use super::cypher::TenantCypher;
use crate::catalog::Tx;
use crate::deadline::BULK;
use crate::error::StoreError;
use crate::index::log::GraphChange;
use crate::model::{
    Entity, GraphCounts, Kb, OverQuota, Page, Relation, RelationCursor, WorkspaceId, graph_refused,
};
use crate::ports::StoreResult;
use crate::{page, tenant_cypher};

const PROVISION: &str = "graph.provision";
/// Attempts at creating a constraint: Neo4j accepts queries before it can create constraints, and two concurrent
/// attempts conflict.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(250);

impl Neo4j {
    /// Creates the uniqueness constraint on names in the workspace. It has to come before `LightRAG` opens the
    /// workspace: `LightRAG` creates a plain index, beside which the constraint cannot be created any more, and
    /// without it concurrent merges create duplicates.
    pub(crate) async fn provision(&self, workspace: &WorkspaceId) -> StoreResult<()> {
        // DDL takes no parameters, and names no tenant's data but the label.
        let text = format!(
            "CREATE CONSTRAINT `{workspace}_entity_id` IF NOT EXISTS \
             FOR (n:`{workspace}`) REQUIRE n.entity_id IS UNIQUE"
        );
        let mut attempt = 1;
        loop {
            let done = self.write(PROVISION, BULK, vec![Query::new(text.clone())]).await;
            match done {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(
                        attempt,
                        error = jobs::error::report(&error),
                        "the constraint is tried again"
                    );
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }
}

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

const ENTITY: TenantCypher = tenant_cypher!(
    "MATCH (n:{workspace} {entity_id: $name}) WHERE n.tenant_id = $tenant_id \
     RETURN n.entity_id AS name, n.entity_type AS type, n.description AS description, \
            n.source_id AS source_id, n.file_path AS file_path"
);

const RELATIONS_PAGE: TenantCypher = tenant_cypher!(
    "MATCH (a:{workspace})-[r:DIRECTED]->(b:{workspace}) \
     WHERE a.entity_id >= $source AND (a.entity_id > $source OR b.entity_id > $target) AND r.tenant_id = $tenant_id \
     RETURN a.entity_id AS source, b.entity_id AS target, r.keywords AS keywords, r.description AS description, \
            r.weight AS weight, r.source_id AS source_id, r.file_path AS file_path \
     ORDER BY a.entity_id, b.entity_id LIMIT $limit"
);

impl Neo4j {
    /// Number of entities and relations.
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
        let entities =
            rows.iter().map(neo4rs::Row::to).collect::<Result<_, _>>().map_err(unreadable(ENTITIES))?;
        Ok(page::cut(entities, limit, |entity: &Entity| entity.name.clone()))
    }

    /// One entity.
    pub(crate) async fn entity(
        &self,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        name: &str,
    ) -> StoreResult<Option<Entity>> {
        let rows = self.read(ENTITIES, ENTITY.query(tenant, workspace).param("name", name)).await?;
        rows.first().map(neo4rs::Row::to).transpose().map_err(unreadable(ENTITIES))
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
        let relations =
            rows.iter().map(neo4rs::Row::to).collect::<Result<_, _>>().map_err(unreadable(RELATIONS))?;
        Ok(page::cut(relations, limit, |relation: &Relation| relation.cursor().to_string()))
    }
}

fn unreadable(operation: &'static str) -> impl Fn(neo4rs::DeError) -> StoreError {
    move |error| StoreError::permanent(operation, error)
}

/// Rows per UNWIND.
const BATCH: usize = 1_000;

const ENTITIES_PUT: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row \
     MERGE (n:{workspace} {entity_id: row.name, tenant_id: $tenant_id}) \
     ON CREATE SET n.created_at = $now, n.truncate = '' \
     SET n.entity_type = row.type, n.description = row.description, n.source_id = row.source_id, \
         n.file_path = row.file_path, n.kb_id = $kb_id"
);

/// Undirected, as `LightRAG` merges; a new edge starts at the end that sorts first.
const RELATIONS_PUT: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row \
     MATCH (a:{workspace} {entity_id: row.source}) WHERE a.tenant_id = $tenant_id \
     MATCH (b:{workspace} {entity_id: row.target}) WHERE b.tenant_id = $tenant_id \
     MERGE (a)-[r:DIRECTED]-(b) \
     ON CREATE SET r.created_at = $now, r.truncate = '' \
     SET r.weight = row.weight, r.description = row.description, r.keywords = row.keywords, \
         r.source_id = row.source_id, r.file_path = row.file_path, r.tenant_id = $tenant_id, r.kb_id = $kb_id"
);

const RELATIONS_DELETE: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row \
     MATCH (a:{workspace} {entity_id: row.source})-[r:DIRECTED]-(b:{workspace} {entity_id: row.target}) \
     WHERE r.tenant_id = $tenant_id DELETE r"
);

const ENTITIES_DELETE: TenantCypher = tenant_cypher!(
    "UNWIND $rows AS row MATCH (n:{workspace} {entity_id: row.name}) WHERE n.tenant_id = $tenant_id DETACH DELETE n"
);

type Row = HashMap<&'static str, BoltType>;

impl Neo4j {
    /// Applies `change` to the graph, unless it would then have more than `limits` allow, and commits `tx`, which
    /// holds the mention log and its locks.
    ///
    /// Log and graph change together as far as two servers can: the graph is written while PostgreSQL holds the
    /// locks, and the log is committed last. If that commit fails, the graph is ahead of the log until the call is
    /// repeated, which derives everything anew that it touches.
    pub(crate) async fn apply_and_commit(
        self: &Arc<Self>,
        tenant: &TenantId,
        kb: &Kb,
        change: GraphChange,
        limits: &Limits,
        (tx, now_s): (Tx, i64),
    ) -> StoreResult<Result<(), OverQuota>> {
        if let Some(over) = self.refused(tenant, &kb.workspace, &change, limits).await? {
            return Ok(Err(over));
        }
        // A spawned task, so that a caller that is dropped from here on leaves the locks held until the end: Neo4j
        // would still carry out the statement that it has received, after whatever a next attempt writes.
        let (neo4j, tenant, kb) = (Arc::clone(self), tenant.clone(), kb.clone());
        let write = tokio::spawn(async move {
            neo4j.apply(&tenant, &kb, &change, now_s).await?;
            tx.commit().await.map(Ok)
        });
        write.await.unwrap_or_else(|error| Err(StoreError::transient("index.graph_replace", error)))
    }

    /// Applies `change` to the graph of a knowledge base, in one transaction. `now_s` is the time in seconds.
    pub(crate) async fn apply(
        &self,
        tenant: &TenantId,
        kb: &Kb,
        change: &GraphChange,
        now_s: i64,
    ) -> StoreResult<()> {
        let mut queries = Vec::new();
        let mut add = |cypher: TenantCypher, rows: Vec<Row>| {
            for batch in rows.chunks(BATCH) {
                let query = cypher.query(tenant, &kb.workspace);
                let query = query.param("kb_id", kb.id.as_str()).param("now", now_s);
                queries.push(query.param("rows", batch.to_vec()));
            }
        };
        add(
            RELATIONS_DELETE,
            change.relations_gone.iter().map(|(source, target)| pair(source, target)).collect(),
        );
        add(
            ENTITIES_DELETE,
            change.entities_gone.iter().map(|name| Row::from([("name", name.as_str().into())])).collect(),
        );
        add(ENTITIES_PUT, change.entities.iter().map(entity).collect());
        add(RELATIONS_PUT, change.relations.iter().map(relation).collect());
        if queries.is_empty() {
            return Ok(());
        }
        self.write("graph.apply", BULK, queries).await
    }
}

fn entity(entity: &Entity) -> Row {
    Row::from([
        ("name", entity.name.as_str().into()),
        ("type", entity.entity_type.as_str().into()),
        ("description", entity.description.as_str().into()),
        ("source_id", entity.source_id.as_str().into()),
        ("file_path", entity.file_path.as_str().into()),
    ])
}

fn relation(relation: &Relation) -> Row {
    let mut row = pair(&relation.source, &relation.target);
    row.extend([
        ("weight", relation.weight.into()),
        ("keywords", relation.keywords.as_str().into()),
        ("description", relation.description.as_str().into()),
        ("source_id", relation.source_id.as_str().into()),
        ("file_path", relation.file_path.as_str().into()),
    ]);
    row
}

fn pair(source: &str, target: &str) -> Row {
    Row::from([("source", source.into()), ("target", target.into())])
}

const ROOM: &str = "graph.room";

/// A workspace belongs to one knowledge base of one tenant, so all nodes with its label are counted, which the
/// server answers without visiting a node.
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

impl Neo4j {
    /// The quota that `change` would exceed. Concurrent builds of other documents are not seen, so together they
    /// can exceed a limit by what they add.
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
            // Whether the keys are new is asked only where it matters.
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

const FORGET: &str = "graph.forget";

/// Deletes some nodes at a time, with their edges: one transaction over a large graph takes more memory than Neo4j
/// gives.
const NODES_DELETE: TenantCypher = tenant_cypher!(
    "MATCH (n:{workspace}) WHERE n.tenant_id = $tenant_id WITH n LIMIT 5000 \
     DETACH DELETE n RETURN count(*) AS gone"
);

impl Neo4j {
    /// Removes a workspace's nodes and edges, and its constraint.
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
        // DDL takes no parameters, and names no tenant's data but the label.
        let text = format!("DROP CONSTRAINT `{workspace}_entity_id` IF EXISTS");
        self.write(FORGET, BULK, vec![Query::new(text)]).await
    }
}
