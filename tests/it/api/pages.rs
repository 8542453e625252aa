use std::collections::BTreeSet;

use jobs::DocumentId;
use jobs::tenant::KbId;
use serde_json::json;
use stores::model::{Mention, MentionKind};
use tests::api::{Api, problem, send};

#[tokio::test]
async fn documents_come_page_by_page() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for number in 0..5 {
        acme.upload_text(&format!("{number}.md"), "text").await;
    }
    let (mut seen, mut path) = (BTreeSet::new(), "/kbs/default/documents?limit=2".to_owned());
    for expected in [2, 2, 1] {
        let page = acme.get(&path).await.body();
        let documents = page["documents"].as_array().unwrap().clone();
        assert_eq!(documents.len(), expected, "{page}");
        seen.extend(documents.iter().map(|document| document["name"].as_str().unwrap().to_owned()));
        path = format!("/kbs/default/documents?limit=2&after={}", page["next"].as_str().unwrap_or("end"));
    }
    assert_eq!(seen.len(), 5);
    assert!(path.ends_with("after=end"), "the last page has no next: {path}");
    let failed = acme.get("/kbs/default/documents?status=failed").await.body();
    assert_eq!(failed["documents"].as_array().unwrap().len(), 0);
    let kbs = acme.get("/kbs").await.body();
    assert_eq!(
        (&kbs["kbs"][0]["id"], &kbs["kbs"][0]["documents"]["pending"]),
        (&"default".into(), &5.into())
    );
}

#[tokio::test]
async fn the_graph_is_shown_page_by_page() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let kb = acme.stores.catalog().kb(&KbId::first()).await.unwrap().unwrap();
    let document = DocumentId::of_name("a.md");
    let mention = |kind| Mention { kind, chunk_id: document.chunk_id(0), description: "x".into() };
    let entity =
        |name: &str| mention(MentionKind::Entity { name: name.into(), entity_type: "person".into() });
    let relation = mention(MentionKind::Relation {
        source: "Ada".into(),
        target: "Charles".into(),
        keywords: vec!["friends".into()],
        weight: 1.0,
    });
    let mentions = [entity("Ada"), entity("Charles"), entity("Mary"), relation];
    acme.stores.index().graph_replace(&kb, &document, "a.md", &mentions).await.unwrap();
    let first = acme.get("/kbs/default/graph?limit=2").await.body();
    assert_eq!((&first["counts"]["entities"], &first["counts"]["relations"]), (&3.into(), &1.into()));
    assert_eq!(
        (&first["entities"][0]["name"], &first["entities"][1]["name"]),
        (&"Ada".into(), &"Charles".into())
    );
    assert_eq!(first["relations"][0]["target"], "Charles");
    let next = first["entities_next"].as_str().unwrap();
    let second = acme.get(&format!("/kbs/default/graph?limit=2&entities_after={next}")).await.body();
    assert_eq!(
        (&second["entities"][0]["name"], &second["entities_next"]),
        (&"Mary".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn knowledge_bases_schedules_and_plans_come_page_by_page() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for kb in ["papers", "board", "notes"] {
        acme.kb_make(&api, kb).await;
    }
    for name in ["nightly", "weekly"] {
        let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
        let put =
            acme.request(reqwest::Method::PUT, &format!("/kbs/default/schedules/{name}")).json(&schedule);
        assert_eq!(send(put).await.status, 200);
    }
    let walk = async |path: &str, list: &str, key: &str| {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let request = api.request(reqwest::Method::GET, &format!("/api/v1{path}?limit=1{after}"));
            let page = send(request.bearer_auth(&acme.key)).await.body();
            let items = page[list].as_array().unwrap();
            assert_eq!(items.len(), 1, "{page}");
            seen.push(items[0][key].as_str().unwrap().to_owned());
            let Some(next) = page["next"].as_str() else { return seen };
            after = format!("&after={next}");
        }
    };
    assert_eq!(walk("/kbs", "kbs", "id").await, ["board", "default", "notes", "papers"]);
    assert_eq!(walk("/kbs/default/schedules", "schedules", "name").await, ["nightly", "weekly"]);
    assert!(walk("/plans", "plans", "name").await.len() > 1);
    for path in ["/kbs?limit=0", "/kbs/default/schedules?limit=1001", "/kbs?page=0", "/kbs?page=2&limit=10"] {
        problem(&acme.get(path).await, 400, "invalid_query");
    }
}
