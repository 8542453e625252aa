//! Writing entities and relations.

use std::collections::HashMap;

use jobs::tenant::TenantId;
use neo4rs::BoltType;

use super::bolt::Neo4j;
use super::cypher::TenantCypher;
use crate::deadline::BULK;
use crate::model::{Entity, Kb, Relation};
use crate::ports::StoreResult;
use crate::postgres::GraphChange;
use crate::tenant_cypher;

/// Rows of one UNWIND.
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
    /// Makes the graph of a knowledge base agree with `change`, in one transaction. `now_s` is the time in
    /// seconds.
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
