use futures::future::join_all;

use super::fixture::Pair;
use super::graph::{entity, graph, relation, say};
use crate::Opened;
use crate::model::{GraphCounts, Mention};

/// What document number `n` of many says: much of it about what the others talk about too.
fn overlapping(n: u32) -> (String, Vec<Mention>) {
    let name = format!("{n}.md");
    let mut said = Vec::new();
    for chunk in 0..3 {
        for topic in 0..6 {
            let subject = format!("Topic {}", (n + topic) % 8);
            let kind = if n.is_multiple_of(3) { "thing" } else { "idea" };
            said.push(entity(&name, chunk, &subject, kind, &format!("{subject} as of {n}.")));
            let (low, high) = (format!("Topic {topic}"), format!("Topic {}", topic + 1));
            said.push(relation(&name, chunk, [&low, &high], &format!("k{n}"), 0.1));
        }
    }
    (name, said)
}

/// A document that was taken back leaves the graph that there would be without it.
pub(super) async fn removal_leaves_no_trace(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let never = pair.acme.kb_new("never").await;
    for n in 0..5 {
        let (name, said) = overlapping(n);
        say(index, kb, &name, &said).await;
        if n != 2 {
            say(index, &never, &name, &said).await;
        }
    }
    assert_ne!(graph(index, kb).await, graph(index, &never).await);
    // First it says something else, then nothing.
    say(index, kb, "2.md", &[entity("2.md", 0, "Elsewhere", "thing", "x")]).await;
    say(index, kb, "2.md", &[]).await;
    assert_eq!(graph(index, kb).await, graph(index, &never).await);
    assert_eq!(index.counts(kb).await.unwrap(), index.counts(&never).await.unwrap());
}

/// Eight documents at once, each twice, give the graph that they give one after the other.
pub(super) async fn side_by_side(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let index = pair.acme.stores.index();
    let calm = pair.acme.kb_new("calm").await;
    for n in (0..8).rev() {
        let (name, said) = overlapping(n);
        say(&*index, &calm, &name, &said).await;
    }
    let kb = pair.acme.kb.clone();
    let tasks = (0..8).map(|n| {
        let (index, kb) = (pair.acme.stores.index(), kb.clone());
        tokio::spawn(async move {
            let (name, said) = overlapping(n);
            let (_, other) = overlapping(n + 1);
            let draft = other
                .into_iter()
                .zip(&said)
                .map(|(mention, own)| Mention { chunk_id: own.chunk_id.clone(), ..mention });
            say(&*index, &kb, &name, &draft.collect::<Vec<_>>()).await;
            say(&*index, &kb, &name, &said).await;
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    let (entities, relations) = graph(&*index, &kb).await;
    assert_eq!((entities.len(), relations.len()), (8, 6));
    assert_eq!((entities, relations), graph(&*index, &calm).await);
}

/// What is kept of an entity and a relation is bounded, but every mention has its weight.
pub(super) async fn many_mentions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let said: Vec<_> = (0..250)
        .flat_map(|chunk| {
            [
                entity("a.md", chunk, "Curie", "person", &format!("Fact {chunk}.")),
                relation("a.md", chunk, ["Curie", "Paris"], &format!("k{chunk:03}"), 0.25),
            ]
        })
        .collect();
    say(index, kb, "a.md", &said).await;
    let (entities, relations) = graph(index, kb).await;
    let parts = |text: &str| text.split("<SEP>").count();
    let names: Vec<_> = entities.iter().map(|entity| entity.name.as_str()).collect();
    assert_eq!(names, ["Curie", "Paris"]);
    assert_eq!((parts(&entities[0].source_id), parts(&entities[0].description)), (200, 50));
    assert_eq!((parts(&entities[1].source_id), entities[1].entity_type.as_str()), (200, "UNKNOWN"));
    assert_eq!(parts(&relations[0].source_id), 200);
    assert_eq!(relations[0].keywords.split(',').count(), 50);
    assert!((relations[0].weight - 62.5).abs() < 1e-9, "{}", relations[0].weight);
}

/// Two tenants say the same; what one takes back the other keeps.
pub(super) async fn twins_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (&*pair.acme.stores.index(), &*pair.twin.stores.index());
    for n in 0..3 {
        let (name, said) = overlapping(n);
        say(acme, &pair.acme.kb, &name, &said).await;
        assert_eq!(twin.counts(&pair.twin.kb).await.unwrap(), GraphCounts::default());
    }
    // Not even the name of the workspace opens it.
    assert_eq!(graph(twin, &pair.acme.kb).await, (vec![], vec![]));
    assert_eq!(twin.counts(&pair.acme.kb).await.unwrap(), GraphCounts::default());
    for n in 0..3 {
        let (name, said) = overlapping(n);
        say(twin, &pair.twin.kb, &name, &said).await;
    }
    let whole = graph(acme, &pair.acme.kb).await;
    assert_eq!(graph(twin, &pair.twin.kb).await, whole);
    for n in 0..3 {
        say(twin, &pair.twin.kb, &format!("{n}.md"), &[]).await;
    }
    assert_eq!(graph(acme, &pair.acme.kb).await, whole);
    assert_eq!(graph(twin, &pair.twin.kb).await, (vec![], vec![]));
}
