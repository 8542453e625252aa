//! From the graph back to chunks and documents.

use jobs::DocumentId;

use super::fixture::Pair;
use super::index::{entity, relation, say};
use crate::Opened;
use crate::model::{MentionKind, MentionSource};

fn source(document: &str, chunk: u32, entity_type: Option<&str>, description: &str) -> MentionSource {
    let id = DocumentId::of_name(document);
    MentionSource {
        chunk_id: id.chunk_id(chunk),
        document: id,
        document_name: document.into(),
        entity_type: entity_type.map(str::to_owned),
        description: description.into(),
    }
}

pub(super) async fn sources_of_an_entity(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let of_a = [
        entity("a.md", 0, "Curie", "person", "A physicist."),
        entity("a.md", 1, "Curie", "scientist", "A chemist."),
        relation("a.md", 1, ["Curie", "Paris"], "works", 1.0),
        relation("a.md", 2, ["Curie", "Paris"], "lives", 0.5),
        relation("a.md", 2, ["Alps", "Curie"], "visits", 0.5),
        relation("a.md", 2, ["Berlin", "Curie"], "visits", 0.5),
    ];
    say(index, kb, "a.md", &of_a).await;
    say(index, kb, "b.md", &[entity("b.md", 0, "Curie", "person", "Polish.")]).await;
    say(&*pair.twin.stores.index(), &pair.twin.kb, "a.md", &of_a[..1]).await;

    let mut expected = vec![
        source("a.md", 0, Some("person"), "A physicist."),
        source("a.md", 1, Some("scientist"), "A chemist."),
        // Named by relations alone.
        source("a.md", 2, None, "Alps visits Curie"),
        source("b.md", 0, Some("person"), "Polish."),
    ];
    expected.sort_by(|one, other| one.chunk_id.cmp(&other.chunk_id));
    for limit in [1, 2, 3, 4, 100] {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = index.entity_sources(kb, "Curie", after.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "in pages of {limit}");
    }
    let ends = index.entity_sources(kb, "Paris", None, 10).await.unwrap().items;
    assert_eq!(ends.iter().map(|source| &source.entity_type).collect::<Vec<_>>(), [&None, &None]);

    let curie = index.entity(kb, "Curie").await.unwrap().unwrap();
    let listed = index.entities(kb, None, 100).await.unwrap().items;
    assert!(listed.contains(&curie));
    assert!(index.entity(kb, "Paris").await.unwrap().is_some(), "an end of a relation is an entity");
    for nothing in ["curie", "Cur", "", "Curie\"})", "100%"] {
        assert_eq!(index.entity(kb, nothing).await.unwrap(), None, "{nothing:?}");
        assert_eq!(index.entity_sources(kb, nothing, None, 10).await.unwrap().items, [], "{nothing:?}");
    }

    // The other tenant has its own, also under a workspace that it knows.
    let twin = &*pair.twin.stores.index();
    assert_eq!(twin.entity_sources(&pair.twin.kb, "Curie", None, 10).await.unwrap().items.len(), 1);
    assert_eq!(twin.entity(kb, "Curie").await.unwrap(), None);
    assert_eq!(twin.entity_sources(kb, "Curie", None, 10).await.unwrap().items, []);
    let archive = pair.acme.kb_new("archive").await;
    assert_eq!(index.entity(&archive, "Curie").await.unwrap(), None);

    say(index, kb, "a.md", &[]).await;
    say(index, kb, "b.md", &[]).await;
    assert_eq!(index.entity(kb, "Curie").await.unwrap(), None);
    assert_eq!(index.entity_sources(kb, "Curie", None, 10).await.unwrap().items, []);
}

pub(super) async fn mentions_of_a_chunk(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let said = [
        entity("a.md", 0, "Paris", "place", "A city."),
        entity("a.md", 0, "Curie", "person", "A physicist."),
        relation("a.md", 0, ["Curie", "Paris"], "works", 1.25),
        entity("a.md", 10, "Curie", "person", "A chemist."),
    ];
    say(index, kb, "a.md", &said).await;
    say(index, kb, "b.md", &[entity("b.md", 0, "Curie", "person", "Polish.")]).await;
    let a = DocumentId::of_name("a.md");
    let first = index.chunk_mentions(kb, &a, 0).await.unwrap();
    assert_eq!(first, [said[1].clone(), said[0].clone(), said[2].clone()]);
    assert!(matches!(&first[2].kind, MentionKind::Relation { keywords, .. } if *keywords == ["works"]));
    assert_eq!(index.chunk_mentions(kb, &a, 10).await.unwrap(), said[3..]);
    assert_eq!(index.chunk_mentions(kb, &a, 1).await.unwrap(), []);
    let twin = &*pair.twin.stores.index();
    assert_eq!(twin.chunk_mentions(kb, &a, 0).await.unwrap(), []);
    assert_eq!(twin.chunk_mentions(&pair.twin.kb, &a, 0).await.unwrap(), []);
}
