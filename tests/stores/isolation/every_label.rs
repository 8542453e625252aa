//! Every label of the graph.

use stores::direct::DirectNeo4j;
use stores::model::Kb;

use super::tenants::{Seeded, seed, servers};

#[tokio::test]
async fn nodes_and_edges_are_lightrags_and_name_their_tenant() {
    let servers = servers().await;
    let mine = seed(&servers, "mine").await;
    let neo4j = DirectNeo4j::connect(&servers.urls.neo4j).await.unwrap();
    let label = &mine.kb.workspace;
    let nodes =
        format!("MATCH (n:`{label}`) RETURN labels(n) AS labels, properties(n) AS node ORDER BY n.entity_id");
    let nodes = neo4j.rows(&nodes).await.unwrap();
    assert_eq!(nodes.len(), 2);
    let created_at = nodes[0]["node"]["created_at"].as_i64().unwrap();
    let source_id = jobs::DocumentId::of_name("plan.md").chunk_id(0);
    let expected = serde_json::json!({
        "labels": [label.as_str()],
        "node": {
            "entity_id": "Ada", "entity_type": "person", "description": "Ada builds.", "source_id": source_id,
            "file_path": "plan.md", "created_at": created_at, "truncate": "", "tenant_id": mine.id, "kb_id": "default",
        },
    });
    assert_eq!(nodes[0], expected);
    let edges = format!(
        "MATCH (a:`{label}`)-[r]->(b) RETURN a.entity_id AS source, type(r) AS type, b.entity_id AS target, \
         properties(r) AS edge"
    );
    let expected = serde_json::json!([{
        "source": "Ada", "type": "DIRECTED", "target": "Engine",
        "edge": {
            "weight": 1.0, "description": "Ada builds the engine.", "keywords": "builds", "source_id": source_id,
            "file_path": "plan.md", "created_at": created_at, "truncate": "", "tenant_id": mine.id, "kb_id": "default",
        },
    }]);
    assert_eq!(serde_json::Value::Array(neo4j.rows(&edges).await.unwrap()), expected);
}

#[tokio::test]
async fn no_node_or_edge_lacks_a_tenant_and_no_edge_leaves_its_workspace() {
    let servers = servers().await;
    seed(&servers, "mine").await;
    let neo4j = DirectNeo4j::connect(&servers.urls.neo4j).await.unwrap();
    for stray in [
        "MATCH (n) WHERE n.tenant_id IS NULL OR n.kb_id IS NULL OR size(labels(n)) <> 1 RETURN labels(n) AS labels",
        "MATCH ()-[r]->() WHERE r.tenant_id IS NULL OR r.kb_id IS NULL RETURN type(r) AS type",
        "MATCH (a)-[r]->(b) WHERE a.tenant_id <> b.tenant_id OR r.tenant_id <> a.tenant_id OR labels(a) <> labels(b) \
         RETURN a.tenant_id AS a, b.tenant_id AS b",
    ] {
        assert_eq!(neo4j.rows(stray).await.unwrap(), Vec::<serde_json::Value>::new(), "{stray}");
    }
}

#[tokio::test]
async fn names_are_unique_in_a_provisioned_workspace() {
    let servers = servers().await;
    let mine = seed(&servers, "mine").await;
    let neo4j = DirectNeo4j::connect(&servers.urls.neo4j).await.unwrap();
    let constraints = format!(
        "SHOW CONSTRAINTS YIELD labelsOrTypes, properties, type WHERE labelsOrTypes = ['{}'] RETURN type, properties",
        mine.kb.workspace
    );
    let expected = serde_json::json!([{ "type": "UNIQUENESS", "properties": ["entity_id"] }]);
    assert_eq!(serde_json::Value::Array(neo4j.rows(&constraints).await.unwrap()), expected);
}

/// The catalog decides which knowledge bases there are; even one that names another tenant's workspace shows nothing.
#[tokio::test]
async fn a_foreign_workspace_shows_nothing_and_takes_nothing() {
    let servers = servers().await;
    let (mine, theirs) = (seed(&servers, "mine").await, seed(&servers, "theirs").await);
    let stolen = Kb { workspace: theirs.kb.workspace.clone(), ..mine.kb.clone() };
    let index = mine.stores.index();
    assert_eq!(index.counts(&stolen).await.unwrap(), stores::model::GraphCounts::default());
    assert!(index.entities(&stolen, None, 10).await.unwrap().items.is_empty());
    assert!(index.relations(&stolen, None, 10).await.unwrap().items.is_empty());
    let document = jobs::DocumentId::of_name("plan.md");
    assert!(index.chunks(&stolen, &document, 0..10).await.unwrap().is_empty());
    index.graph_replace(&stolen, &document, "plan.md", &[]).await.unwrap();
    index.chunks_replace(&stolen, &document, "plan.md", &[]).await.unwrap();
    assert_eq!(whole(&theirs).await, (1, 2, 1));
}

async fn whole(tenant: &Seeded) -> (u64, u64, u64) {
    let counts = tenant.stores.index().counts(&tenant.kb).await.unwrap();
    (counts.chunks, counts.entities, counts.relations)
}
