//! Two tenants upload documents with the same names about the same people at the same time. What one of them
//! alone wrote is then looked for in every row, document, node, key and file that belongs to the other.

use std::collections::BTreeSet;
use std::fs;

use redis::AsyncCommands;
use secrecy::ExposeSecret;
use serde_json::Value;
use stores::direct::{DirectMongo, DirectNeo4j, DirectPostgres};
use tests::bed::{Bed, TestTenant, servers};
use tests::services::ServerUrls;
use tests::texts;
use walkdir::WalkDir;

const NAMES: [&str; 4] = ["heron.md", "kestrel.md", "lisbon.md", "riga.md"];

async fn ingest(tenant: &TestTenant, secret: &str) {
    for name in NAMES {
        assert_eq!(tenant.upload(name, &texts::long(secret)).await.status, 202);
    }
    for name in NAMES {
        assert_eq!(tenant.settled(name).await["status"], "processed");
    }
}

async fn ingest_both(bed: &Bed) -> [(TestTenant, &'static str); 2] {
    let (acme, other) = bed.look_alikes().await;
    tokio::join!(ingest(&acme, "Quietwater"), ingest(&other, "Stillbrook"));
    [(acme, "Quietwater"), (other, "Stillbrook")]
}

/// `records` are (tenant, text). Each tenant's secret must be found, in that tenant's records only.
fn assert_apart(store: &str, tenants: &[(TestTenant, &str); 2], records: &[(String, String)]) {
    for (tenant, secret) in tenants {
        let owners: BTreeSet<_> = records
            .iter()
            .filter(|(_, what)| what.contains(secret))
            .map(|(whose, _)| whose.as_str())
            .collect();
        assert_eq!(owners, BTreeSet::from([tenant.id.as_str()]), "{store}: who holds {secret}");
    }
}

/// Rows as records: their `tenant_id` names the tenant.
fn records(rows: Vec<Value>, tenants: &[(TestTenant, &str); 2]) -> Vec<(String, String)> {
    let whose = |row: &Value| row["tenant_id"].as_str().unwrap_or("nobody").to_owned();
    let known = |owner: &String| tenants.iter().any(|(tenant, _)| tenant.id == *owner) || owner == "nobody";
    rows.into_iter().map(|row| (whose(&row), row.to_string())).filter(|(owner, _)| known(owner)).collect()
}

/// Every file of the data directory: each tenant has files of its own, and their paths name it.
#[tokio::test]
async fn no_file_holds_what_is_another_tenants() {
    let bed = Bed::embedded().await;
    let tenants = ingest_both(&bed).await;
    let mut files = Vec::new();
    for entry in WalkDir::new(bed.data_dir()).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            let parts = entry.path().to_string_lossy().replace(['.', '/'], " ");
            // The longer id first: one begins with the other.
            let owner =
                tenants.iter().rev().find(|(tenant, _)| parts.split(' ').any(|part| part == tenant.id));
            files.push((owner.map_or("nobody".to_owned(), |(tenant, _)| tenant.id.clone()), text));
        }
    }
    assert_apart("files", &tenants, &files);
}

#[tokio::test]
async fn no_key_names_another_tenant() {
    let bed = Bed::embedded().await;
    let tenants = ingest_both(&bed).await;
    let client = redis::Client::open(bed.redis_url().expose_secret()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis.keys(format!("{}:*", bed.queue_prefix())).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut redis).await.unwrap_or_default();
        let dump = String::from_utf8_lossy(&dump);
        for (_, secret) in &tenants {
            assert!(!dump.contains(secret), "{key} holds text of a document: jobs carry ids");
        }
    }
}

#[tokio::test]
async fn no_row_document_or_node_holds_what_is_another_tenants() {
    let bed = servers().await;
    let tenants = ingest_both(bed).await;
    let urls = ServerUrls::from_env();
    let postgres = DirectPostgres::connect(&urls.postgres).await.unwrap();
    let tables =
        "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'";
    let mut rows = Vec::new();
    for table in postgres.rows("", tables).await.unwrap() {
        let table = table["name"].as_str().unwrap().to_owned();
        for (tenant, _) in &tenants {
            // Row level security never shows all rows at once; each tenant's rows are read as that tenant.
            let enter = format!("select set_config('app.tenant_id', '{}', true)", tenant.id);
            let seen = postgres.rows(&enter, &format!("select * from {table}")).await.unwrap();
            assert!(seen.iter().all(|row| row["tenant_id"] == tenant.id.as_str()), "{table}: a foreign row");
            rows.extend(seen);
        }
    }
    assert_apart("Postgres", &tenants, &records(rows, &tenants));

    let mongo = DirectMongo::connect(&urls.mongo).await.unwrap();
    let mut documents = Vec::new();
    for collection in mongo.collections().await.unwrap() {
        documents.extend(mongo.documents(&collection).await.unwrap());
    }
    assert_apart("MongoDB", &tenants, &records(documents, &tenants));

    let neo4j = DirectNeo4j::connect(&urls.neo4j).await.unwrap();
    let mut graph = Vec::new();
    for pattern in ["(n)", "()-[n]->()"] {
        for (tenant, _) in &tenants {
            let query =
                format!("MATCH {pattern} WHERE n.tenant_id = '{}' RETURN properties(n) AS n", tenant.id);
            let found = neo4j.rows(&query).await.unwrap();
            graph.extend(found.into_iter().map(|mut row| row["n"].take()));
        }
    }
    assert_apart("Neo4j", &tenants, &records(graph, &tenants));
}
