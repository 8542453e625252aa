//! From the graph back to the text: chunks of a document, what was extracted from each, and where an entity is
//! mentioned.

use jobs::DocumentId;
use jobs::tenant::KbId;
use serde_json::{Value, json};
use stores::model::{Chunk, Kb, Mention, MentionKind};
use tests::api::{Api, ApiTenant, Reply, problem};
use tests::bed::Bed;
use tests::texts;

async fn kb(tenant: &ApiTenant) -> Kb {
    tenant.stores.catalog().kb(&KbId::first()).await.unwrap().unwrap()
}

/// A document with chunks, as a worker would have cut it.
async fn cut(tenant: &ApiTenant, name: &str, texts: &[String]) -> String {
    assert_eq!(tenant.upload_text(name, "text").await.status, 202);
    let id = DocumentId::of_name(name);
    let chunk = |(order, text): (u32, &String)| Chunk { order, tokens: 10 + order, content: text.clone() };
    let chunks: Vec<_> = (0..).zip(texts).map(chunk).collect();
    tenant.stores.index().chunks_replace(&kb(tenant).await, &id, name, &chunks).await.unwrap();
    format!("/kbs/default/documents/{id}/chunks")
}

fn indexes(reply: &Reply) -> Vec<u64> {
    let body = reply.body();
    body["chunks"].as_array().unwrap().iter().map(|chunk| chunk["index"].as_u64().unwrap()).collect()
}

/// All pages, with the number of chunks on each.
async fn walk(tenant: &ApiTenant, path: &str, limit: u32) -> (Vec<u64>, Vec<usize>) {
    let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let reply = tenant.get(&format!("{path}?limit={limit}{after}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let page = indexes(&reply);
        sizes.push(page.len());
        seen.extend(page);
        match reply.body()["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (seen, sizes),
        }
    }
}

#[tokio::test]
async fn chunks_come_in_pages_in_the_order_of_the_text() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let texts: Vec<_> = (0..100).map(|number| format!("part {number}")).collect();
    let path = cut(&acme, "long.md", &texts).await;
    let all: Vec<u64> = (0..100).collect();
    assert_eq!(walk(&acme, &path, 1_000).await, (all.clone(), vec![100]));
    assert_eq!(walk(&acme, &path, 100).await, (all.clone(), vec![100]));
    assert_eq!(walk(&acme, &path, 33).await, (all.clone(), vec![33, 33, 33, 1]));
    assert_eq!(walk(&acme, &path, 50).await.1, [50, 50]);
    let first = acme.get(&format!("{path}?limit=1")).await.body();
    let id = DocumentId::of_name("long.md").chunk_id(0);
    assert_eq!(first["chunks"], json!([{ "id": id, "index": 0, "tokens": 10, "text": "part 0" }]));

    // A page of large chunks ends early, and the next one goes on.
    let large: Vec<_> = (0..100).map(|_| "x".repeat(100_000)).collect();
    let path = cut(&acme, "large.md", &large).await;
    let (seen, sizes) = walk(&acme, &path, 100).await;
    assert_eq!(seen, all);
    assert!(sizes.len() > 1, "{sizes:?}");

    problem(&acme.get(&format!("{path}?after=x")).await, 400, "invalid_query");
    assert_eq!(indexes(&acme.get(&format!("{path}?after=4294967295")).await), Vec::<u64>::new());
    let nowhere = DocumentId::of_name("nowhere.md");
    problem(&acme.get(&format!("/kbs/default/documents/{nowhere}/chunks")).await, 404, "not_found");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story: what is asked of a chunk leads to the entity and back")]
async fn a_chunk_says_what_was_extracted_from_it_and_an_entity_where_it_was_found() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let path = cut(&acme, "a.md", &["Ada/Byron".into(), "none".into()]).await;
    let id = DocumentId::of_name("a.md");
    let mention =
        |kind, description: &str| Mention { kind, chunk_id: id.chunk_id(0), description: description.into() };
    let said = [
        mention(
            MentionKind::Entity { name: "Ada/Byron".into(), entity_type: "person".into() },
            "A poet's child.",
        ),
        mention(
            MentionKind::Relation {
                source: "Ada/Byron".into(),
                target: "Engine".into(),
                keywords: vec!["builds".into(), "writes".into()],
                weight: 1.5,
            },
            "She writes for it.",
        ),
    ];
    for tenant in [&acme, &twin] {
        if tenant.id == twin.id {
            cut(tenant, "a.md", &["other".into()]).await;
        }
        let said = if tenant.id == acme.id { &said[..] } else { &said[..1] };
        tenant.stores.index().graph_replace(&kb(tenant).await, &id, "a.md", said).await.unwrap();
    }

    let chunk = acme.get(&format!("{path}/0")).await.body();
    assert_eq!((&chunk["text"], &chunk["document_id"]), (&json!("Ada/Byron"), &json!(id)));
    assert_eq!(
        chunk["entities"],
        json!([{ "name": "Ada/Byron", "type": "person", "description": "A poet's child." }])
    );
    assert_eq!(
        chunk["relations"],
        json!([{ "source": "Ada/Byron", "target": "Engine", "keywords": ["builds", "writes"], "weight": 1.5,
                 "description": "She writes for it." }])
    );
    let silent = acme.get(&format!("{path}/1")).await.body();
    assert_eq!((&silent["entities"], &silent["relations"]), (&json!([]), &json!([])));
    for nothing in ["2", "-1", "01x", "4294967295", "4294967296"] {
        problem(&acme.get(&format!("{path}/{nothing}")).await, 404, "not_found");
    }

    let ada = acme.get("/kbs/default/graph/entities/Ada%2FByron").await.body();
    assert_eq!(
        (&ada["name"], &ada["type"], &ada["next"]),
        (&json!("Ada/Byron"), &json!("person"), &Value::Null)
    );
    let source = json!({
        "chunk_id": id.chunk_id(0), "chunk_index": 0, "document_id": id, "document_name": "a.md",
        "type": "person", "description": "A poet's child.",
    });
    assert_eq!(ada["sources"], json!([source]));
    let engine = acme.get("/kbs/default/graph/entities/Engine").await.body();
    assert_eq!(
        (&engine["sources"][0]["type"], &engine["sources"][0]["chunk_index"]),
        (&Value::Null, &json!(0))
    );
    problem(&twin.get("/kbs/default/graph/entities/Engine").await, 404, "not_found");
    for nothing in ["ada", "%00", "Ada"] {
        problem(&acme.get(&format!("/kbs/default/graph/entities/{nothing}")).await, 404, "not_found");
    }
}

/// With workers: every source that an entity names is a chunk that mentions it.
#[tokio::test]
async fn what_workers_put_into_the_graph_leads_back_to_its_chunks() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    for name in ["heron.md", "kestrel.md"] {
        acme.ingest(name, &texts::long("Quietwater")).await;
    }
    let graph = acme.http.get(&acme.kb("graph")).await.body;
    let entities = graph["entities"].as_array().unwrap();
    assert!(entities.len() > 3, "{graph}");
    for entity in entities {
        let name = entity["name"].as_str().unwrap();
        let path = name.bytes().fold(String::new(), |path, byte| path + &format!("%{byte:02X}"));
        let shown = acme.http.get(&acme.kb(&format!("graph/entities/{path}"))).await.body;
        assert_eq!((&shown["description"], &shown["type"]), (&entity["description"], &entity["type"]));
        let sources = shown["sources"].as_array().unwrap();
        let ids: Vec<_> = sources.iter().map(|source| source["chunk_id"].as_str().unwrap()).collect();
        for known in entity["source_id"].as_str().unwrap().split("<SEP>") {
            assert!(ids.contains(&known), "{name}: {known} is not in {ids:?}");
        }
        for source in sources {
            let (document, index) = (source["document_id"].as_str().unwrap(), &source["chunk_index"]);
            let chunk = acme.http.get(&acme.kb(&format!("documents/{document}/chunks/{index}"))).await.body;
            assert_eq!(chunk["id"], source["chunk_id"]);
            let named = |list: &Value, field: &str| {
                list.as_array().unwrap().iter().any(|mention| mention[field] == name)
            };
            let mentioned = named(&chunk["entities"], "name")
                || named(&chunk["relations"], "source")
                || named(&chunk["relations"], "target");
            assert!(mentioned, "{name} in {chunk}");
        }
    }
}
