use jobs::DocumentId;
use jobs::types::BuildGraph;
use tests::bed::{Bed, Snapshot, send};
use tests::texts;

fn build(name: &str) -> BuildGraph {
    BuildGraph::of(DocumentId::of_name(name), 1)
}

/// Two documents that speak of the same things meet in the graph: one node, both sources.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("one.md", &texts::short("Bluebird")).await;
    acme.ingest("two.md", &texts::short("Nightjar")).await;
    let snapshot = Snapshot::of(bed.stores(), &acme.id).await;
    let ada: Vec<_> = snapshot.entities.iter().filter(|entity| entity.name == "Ada Okafor").collect();
    let [ada] = ada.as_slice() else { panic!("{ada:?}") };
    assert!(ada.file_path.contains("one.md") && ada.file_path.contains("two.md"), "{ada:?}");
    assert_eq!(ada.source_id.split("<SEP>").count(), 2, "{ada:?}");
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &build("heron.md")).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &build("never-uploaded.md")).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    assert!(Snapshot::of(bed.stores(), &acme.id).await.entities.is_empty());
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    let again = bed.push(&acme, &build("heron.md")).await;
    bed.ended(&acme, again).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
}

/// Many documents that arrive at once leave the graph that they leave one after the other.
#[tokio::test]
async fn the_order_of_documents_leaves_no_trace() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    let names: Vec<_> = (0..12).map(|number| format!("{number}.md")).collect();
    for name in &names {
        acme.ingest(name, &texts::short(name)).await;
    }
    for name in names.iter().rev() {
        assert_eq!(other.upload(name, &texts::short(name)).await.status, 202);
    }
    for name in &names {
        assert_eq!(other.settled(name).await["status"], "processed");
    }
    let (one_by_one, all_at_once) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(one_by_one, all_at_once);
}

#[tokio::test]
async fn a_graph_without_room_fails_the_document_and_changes_nothing() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let path = format!("/api/v1/tenants/{}", acme.id);
    let limit = async |limits: serde_json::Value| {
        let change = serde_json::json!({ "limits": limits });
        let answer = send(bed.operator().request(reqwest::Method::PATCH, &path).json(&change)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    for (limits, code) in [
        (serde_json::json!({ "entities_per_kb": 1 }), "entities_limit_reached"),
        (serde_json::json!({ "entities_per_kb": null, "relations_per_kb": 1 }), "relations_limit_reached"),
    ] {
        limit(limits).await;
        assert_eq!(acme.upload("osprey.md", &texts::long("Nightjar")).await.status, 202);
        let document = acme.settled("osprey.md").await;
        assert_eq!((&document["status"], &document["error"]["code"]), (&"failed".into(), &code.into()));
        let after = Snapshot::of(bed.stores(), &acme.id).await;
        assert_eq!((&after.entities, &after.relations), (&before.entities, &before.relations));
    }
    limit(serde_json::Value::Null).await;
    acme.ingest("osprey.md", &texts::long("Nightjar")).await;
}
