//! Every collection of the document store.

use stores::direct::DirectMongo;

use super::tenants::{seed, servers};

#[tokio::test]
async fn every_document_names_its_tenant() {
    let servers = servers().await;
    let (mine, theirs) = (seed(&servers, "mine").await, seed(&servers, "theirs").await);
    let mongo = DirectMongo::connect(&servers.urls.mongo).await.unwrap();
    let collections = mongo.collections().await.unwrap();
    assert_eq!(collections, ["extractions", "parsed", "parsed_parts", "staged"]);
    for collection in collections {
        let documents = mongo.documents(&collection).await.unwrap();
        for document in &documents {
            let tenant = document["tenant_id"].as_str().unwrap_or_default();
            let id = document["_id"].as_str().unwrap_or_default();
            assert!(!tenant.is_empty(), "{collection}: {id} has no tenant");
            assert!(
                id.starts_with(&format!("{tenant}/")),
                "{collection}: {id} is under another tenant's key"
            );
        }
        for tenant in [&mine.id, &theirs.id] {
            let own = documents.iter().filter(|document| document["tenant_id"] == tenant.as_str());
            assert_ne!(own.count(), 0, "{collection}: nothing was seeded");
        }
        for index in mongo.indexes(&collection).await.unwrap() {
            assert!(index == ["_id"] || index[0] == "tenant_id", "{collection}: {index:?}");
        }
    }
}

#[tokio::test]
async fn a_tenant_reads_its_own_documents_only() {
    let servers = servers().await;
    let (mine, theirs) = (seed(&servers, "mine").await, seed(&servers, "theirs").await);
    let document = jobs::DocumentId::of_name("plan.md");
    let (my_documents, their_documents) = (mine.stores.documents(), theirs.stores.documents());
    my_documents.extractions_forget(&mine.kb.id, &document, None).await.unwrap();
    assert!(my_documents.extractions(&mine.kb.id, &document, 1, 0..1_000).await.unwrap().is_empty());
    assert_eq!(their_documents.extractions(&theirs.kb.id, &document, 1, 0..1_000).await.unwrap().len(), 1);
    let text = |text: &str| stores::model::ParsedDocument { revision: 2, title: None, text: text.into() };
    my_documents.parsed_put(&mine.kb.id, &document, &text("mine")).await.unwrap();
    let seen = their_documents.parsed(&theirs.kb.id, &document).await.unwrap().unwrap();
    assert_eq!(seen.revision, 1);
    assert!(seen.text.starts_with("Ada builds the engine."));
}
