use futures::future::join_all;
use jobs::DocumentId;
use jobs::plan::{Limits, Quota};

use super::fixture::Pair;
use crate::Opened;
use crate::model::{
    Chunk, DocumentCounts, Entity, GraphCounts, GraphDelta, IndexChange, IndexContent, Kb, Mention,
    MentionKind, OverQuota, Relation, RelationCursor,
};
use crate::ports::Index;

fn cut(count: u32, text: &str) -> Vec<Chunk> {
    let chunk = |order| Chunk { order, tokens: 1_200 + order, content: format!("{text} {order} 'é'\n🦀") };
    (0..count).map(chunk).collect()
}

pub(super) async fn replaced_as_a_whole(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (pair.acme.stores.index(), &pair.acme.kb);
    let id = DocumentId::of_name("a.md");
    assert_eq!(index.chunks(kb, &id, 0..10).await.unwrap(), []);
    let long = cut(12, "long");
    index.chunks_replace(kb, &id, "a.md", &long).await.unwrap();
    index.chunks_replace(kb, &id, "a.md", &long).await.unwrap();
    assert_eq!(index.chunks(kb, &id, 0..u32::MAX).await.unwrap(), long);
    assert_eq!(index.chunks(kb, &id, 8..11).await.unwrap(), long[8..11]);
    assert_eq!(index.chunks(kb, &id, 3..3).await.unwrap(), []);
    assert_eq!(index.counts(kb).await.unwrap(), GraphCounts { chunks: 12, ..GraphCounts::default() });

    let short = cut(2, "short");
    index.chunks_replace(kb, &id, "a.md", &short).await.unwrap();
    assert_eq!(index.chunks(kb, &id, 0..100).await.unwrap(), short);
    index.chunks_replace(kb, &id, "a.md", &[]).await.unwrap();
    assert_eq!(index.counts(kb).await.unwrap(), GraphCounts::default());
}

pub(super) async fn kept_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let index = pair.acme.stores.index();
    let archive = pair.acme.kb_new("archive").await;
    let id = DocumentId::of_name("a.md");
    index.chunks_replace(&pair.acme.kb, &id, "a.md", &cut(3, "acme")).await.unwrap();
    index.chunks_replace(&pair.acme.kb, &DocumentId::of_name("b.md"), "b.md", &cut(1, "b")).await.unwrap();
    assert_eq!(index.chunks(&archive, &id, 0..10).await.unwrap(), []);
    assert_eq!(index.chunks(&pair.acme.kb, &id, 0..10).await.unwrap(), cut(3, "acme"));

    // The other tenant reads nothing even if it knows the workspace, and its own writes stay separate.
    let twin = pair.twin.stores.index();
    assert_eq!(twin.chunks(&pair.acme.kb, &id, 0..10).await.unwrap(), []);
    assert_eq!(twin.counts(&pair.acme.kb).await.unwrap(), GraphCounts::default());
    twin.chunks_replace(&pair.twin.kb, &id, "a.md", &cut(1, "twin")).await.unwrap();
    twin.chunks_replace(&pair.acme.kb, &id, "a.md", &[]).await.unwrap();
    assert_eq!(index.chunks(&pair.acme.kb, &id, 0..10).await.unwrap(), cut(3, "acme"));
    assert_eq!(twin.chunks(&pair.twin.kb, &id, 0..10).await.unwrap(), cut(1, "twin"));
}

/// A mention of an entity in a document's chunk.
pub(super) fn entity(document: &str, chunk: u32, name: &str, entity_type: &str, text: &str) -> Mention {
    Mention {
        kind: MentionKind::Entity { name: name.into(), entity_type: entity_type.into() },
        chunk_id: DocumentId::of_name(document).chunk_id(chunk),
        description: text.into(),
    }
}

/// A mention of a relation in a document's chunk.
pub(super) fn relation(document: &str, chunk: u32, ends: [&str; 2], keyword: &str, weight: f64) -> Mention {
    let [source, target] = ends.map(str::to_owned);
    let description = format!("{source} {keyword} {target}");
    Mention {
        kind: MentionKind::Relation { source, target, keywords: vec![keyword.into()], weight },
        chunk_id: DocumentId::of_name(document).chunk_id(chunk),
        description,
    }
}

/// Replaces the mentions of the document called `name`.
pub(super) async fn say(index: &dyn Index, kb: &Kb, name: &str, mentions: &[Mention]) -> GraphDelta {
    index.graph_replace(kb, &DocumentId::of_name(name), name, mentions).await.unwrap()
}

/// Reads a whole graph, in pages.
pub(super) async fn graph(index: &dyn Index, kb: &Kb) -> (Vec<Entity>, Vec<Relation>) {
    let (mut entities, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = index.entities(kb, after.as_deref(), 7).await.unwrap();
        entities.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let (mut relations, mut after) = (Vec::new(), None);
    loop {
        let page = index.relations(kb, after.as_ref(), 7).await.unwrap();
        relations.extend(page.items);
        after = page.next.map(|next| next.parse().unwrap());
        if after.is_none() {
            return (entities, relations);
        }
    }
}

fn chunk(document: &str, order: u32) -> String {
    DocumentId::of_name(document).chunk_id(order)
}

pub(super) async fn folded(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let said = [
        entity("a.md", 0, "Curie", "person", "A physicist."),
        entity("a.md", 1, "Curie", "person", "A chemist."),
        entity("a.md", 0, "Paris", "place", "A city."),
        relation("a.md", 0, ["Curie", "Paris"], "works", 1.0),
        relation("a.md", 1, ["Curie", "Paris"], "lives", 0.5),
    ];
    for _ in 0..2 {
        let delta = say(index, kb, "a.md", &said).await;
        assert_eq!(delta, GraphDelta { entities: 2, relations: 1 });
        let counts = GraphCounts { chunks: 0, entities: 2, relations: 1 };
        assert_eq!(index.counts(kb).await.unwrap(), counts);
    }
    let (entities, relations) = graph(index, kb).await;
    let sources = format!("{}<SEP>{}", chunk("a.md", 0), chunk("a.md", 1));
    let curie = Entity {
        name: "Curie".into(),
        entity_type: "person".into(),
        description: "A physicist.<SEP>A chemist.".into(),
        source_id: sources.clone(),
        file_path: "a.md".into(),
    };
    assert_eq!(entities[0], curie);
    assert_eq!((entities[1].name.as_str(), entities[1].source_id.as_str()), ("Paris", &*chunk("a.md", 0)));
    let works = Relation {
        source: "Curie".into(),
        target: "Paris".into(),
        keywords: "lives,works".into(),
        description: "Curie works Paris<SEP>Curie lives Paris".into(),
        weight: 1.5,
        source_id: sources,
        file_path: "a.md".into(),
    };
    assert_eq!(relations, [works]);
}

pub(super) async fn replaced(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let old = [entity("a.md", 0, "Curie", "person", "Old."), entity("a.md", 0, "Gone", "thing", "Gone.")];
    let new = [entity("a.md", 0, "Curie", "chemist", "New."), entity("a.md", 0, "Paris", "place", "City.")];
    say(index, kb, "a.md", &old).await;
    assert_eq!(say(index, kb, "a.md", &new).await, GraphDelta { entities: 2, relations: 0 });
    let (entities, _) = graph(index, kb).await;
    let seen: Vec<_> = entities.iter().map(|e| (e.name.as_str(), e.description.as_str())).collect();
    assert_eq!(seen, [("Curie", "New."), ("Paris", "City.")]);
    assert_eq!(entities[0].entity_type, "chemist");
    assert_eq!(say(index, kb, "a.md", &[]).await, GraphDelta::default());
    assert_eq!(index.counts(kb).await.unwrap(), GraphCounts::default());
}

pub(super) async fn unknown_ends(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let radium = async || {
        let (entities, _) = graph(index, kb).await;
        let found = entities.into_iter().find(|entity| entity.name == "Radium");
        found.map(|entity| (entity.entity_type, entity.description))
    };
    let known = |entity_type: &str, text: &str| Some((entity_type.to_owned(), text.to_owned()));
    say(index, kb, "a.md", &[relation("a.md", 0, ["Curie", "Radium"], "found", 1.0)]).await;
    assert_eq!(index.counts(kb).await.unwrap().entities, 2);
    assert_eq!(radium().await, known("UNKNOWN", "Curie found Radium"));

    say(index, kb, "b.md", &[entity("b.md", 0, "Radium", "element", "Glows.")]).await;
    assert_eq!(radium().await, known("element", "Glows."));
    say(index, kb, "a.md", &[]).await;
    assert_eq!(radium().await, known("element", "Glows."));
    say(index, kb, "a.md", &[relation("a.md", 0, ["Curie", "Radium"], "found", 1.0)]).await;
    say(index, kb, "b.md", &[]).await;
    assert_eq!(radium().await, known("UNKNOWN", "Curie found Radium"));
    say(index, kb, "a.md", &[]).await;
    assert_eq!(index.counts(kb).await.unwrap(), GraphCounts::default());
}

/// Names are data: any text is stored as text.
pub(super) async fn any_text(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let mut names = [
        "'; DROP TABLE entities; --",
        "`}) DETACH DELETE n //",
        "$name",
        "a\\b\"c",
        "Zürich 🦀",
        "x<SEP>y",
        "%_",
    ];
    names.sort_unstable();
    let said: Vec<_> = names.iter().map(|name| entity("a.md", 0, name, "$type", name)).collect();
    say(index, kb, "a.md", &said).await;
    let pairs: Vec<_> =
        names.windows(2).map(|ends| relation("b.md", 0, [ends[0], ends[1]], "$k", 1.0)).collect();
    say(index, kb, "b.md", &pairs).await;
    let (entities, relations) = graph(index, kb).await;
    assert_eq!(entities.iter().map(|entity| entity.name.as_str()).collect::<Vec<_>>(), names);
    let ends: Vec<_> = relations.iter().map(|r| [r.source.as_str(), r.target.as_str()]).collect();
    assert_eq!(ends, names.windows(2).map(|ends| [ends[0], ends[1]]).collect::<Vec<_>>());
}

pub(super) async fn pages(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    // Code point order: digits, upper case, lower case, the rest of the world. The last two are the other way
    // round when strings are compared as UTF-16.
    let names: Vec<_> = ["0", "10", "9", "Ab", "B", "a", "ab", "b", "z", "Ä", "é", "日", "！", "🦀"].to_vec();
    let said: Vec<_> = names.iter().map(|name| entity("a.md", 0, name, "t", "")).collect();
    say(index, kb, "a.md", &said).await;
    let first = index.entities(kb, None, 5).await.unwrap();
    assert_eq!(first.items.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), names[..5]);
    assert_eq!(index.entities(kb, None, 14).await.unwrap().next, None);
    assert_eq!(graph(index, kb).await.0.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), names);

    let hub: Vec<_> = names[1..].iter().map(|name| relation("b.md", 0, [names[0], name], "k", 1.0)).collect();
    say(index, kb, "b.md", &hub).await;
    assert_eq!(index.relations(kb, None, 5).await.unwrap().items.len(), 5);
    assert_eq!(index.relations(kb, None, 13).await.unwrap().next, None);
    assert_eq!(graph(index, kb).await.1.iter().map(|r| r.target.as_str()).collect::<Vec<_>>(), names[1..]);
}

pub(super) async fn foreign_cursor(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let index = pair.acme.stores.index();
    let nowhere = RelationCursor { source: "zzz".into(), target: "zzz".into() };
    let past_the_end = index.relations(&pair.acme.kb, Some(&nowhere), 5).await.unwrap();
    assert_eq!((past_the_end.items, past_the_end.next), (vec![], None));
    let past_the_end = index.entities(&pair.acme.kb, Some("zzz"), 5).await.unwrap();
    assert_eq!((past_the_end.items, past_the_end.next), (vec![], None));
}

/// Exceeding a limit changes nothing; known keys, and changes that shrink the graph, never exceed it.
pub(super) async fn limited(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (pair.acme.stores.index(), &pair.acme.kb);
    let limits = |entities, relations| Limits {
        entities_per_kb: Some(entities),
        relations_per_kb: Some(relations),
        ..Limits::default()
    };
    let within = async |name: &'static str, mentions: &[Mention], limits: Limits| {
        let id = DocumentId::of_name(name);
        index.graph_replace_within(kb, &id, name, mentions, &limits).await.unwrap()
    };
    let over = |quota, current, maximum| Err(OverQuota { quota, current, maximum });
    let says = |document: &str, names: &[&str]| -> Vec<Mention> {
        names.iter().map(|name| entity(document, 0, name, "PERSON", "someone")).collect()
    };
    let two = says("a.md", &["Ada", "Bob"]);
    assert!(within("a.md", &two, limits(2, 1)).await.is_ok());
    let before = graph(index.as_ref(), kb).await;
    let third = says("b.md", &["Bob", "Cy"]);
    assert_eq!(within("b.md", &third, limits(2, 1)).await, over(Quota::EntitiesPerKb, 2, 2));
    assert_eq!(graph(index.as_ref(), kb).await, before);
    // Both exist: nothing is added but mentions.
    assert!(within("b.md", &says("b.md", &["Ada", "Bob"]), limits(2, 1)).await.is_ok());
    assert!(within("a.md", &two, limits(1, 1)).await.is_ok(), "a limit that was lowered takes nothing away");
    let mut tied = says("b.md", &["Ada", "Bob"]);
    tied.push(relation("b.md", 0, ["Ada", "Bob"], "knows", 1.0));
    assert!(within("b.md", &tied, limits(2, 1)).await.is_ok());
    let mut more = says("a.md", &["Ada", "Bob"]);
    more.extend(["Cy", "Di"].map(|other| relation("a.md", 0, ["Ada", other], "knows", 1.0)));
    assert_eq!(within("a.md", &more, limits(9, 2)).await, over(Quota::RelationsPerKb, 1, 2));
    assert!(within("a.md", &more, limits(0, 0)).await.is_ok(), "0 is no limit");
    assert!(within("a.md", &[], limits(1, 1)).await.is_ok(), "less is never too much");
    let counts = index.counts(kb).await.unwrap();
    assert_eq!((counts.entities, counts.relations), (2, 1));
}

/// Mentions of document number `n` of many, much of it about entities that other documents mention too.
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

/// After a document was removed the graph equals the one without it.
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
    // First with other mentions, then with none.
    say(index, kb, "2.md", &[entity("2.md", 0, "Elsewhere", "thing", "x")]).await;
    say(index, kb, "2.md", &[]).await;
    assert_eq!(graph(index, kb).await, graph(index, &never).await);
    assert_eq!(index.counts(kb).await.unwrap(), index.counts(&never).await.unwrap());
}

/// Eight documents at once, each twice, give the same graph as one after the other.
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

/// What is kept of an entity and a relation is bounded, but the weight of every mention counts.
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

/// Two tenants with the same mentions: removing one tenant's leaves the other's.
pub(super) async fn twins_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (&*pair.acme.stores.index(), &*pair.twin.stores.index());
    for n in 0..3 {
        let (name, said) = overlapping(n);
        say(acme, &pair.acme.kb, &name, &said).await;
        assert_eq!(twin.counts(&pair.twin.kb).await.unwrap(), GraphCounts::default());
    }
    // Knowing the name of the workspace does not help.
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

/// A revision takes the place of the one before with everything at once, and never that of a later one.
pub(super) async fn served_as_a_whole(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (index, kb) = (&*pair.acme.stores.index(), &pair.acme.kb);
    let id = DocumentId::of_name("a.md");
    let put = async |revision, chunks: Option<&[Chunk]>, mentions: &[Mention], limits: &Limits| {
        let content = IndexContent { document: &id, name: "a.md", revision, chunks, mentions };
        index.document_replace(kb, &content, limits).await.unwrap()
    };
    let served = async || {
        let served = index.document_served(kb, &id).await.unwrap();
        served.map(|served| (served.revision, served.counts))
    };
    let everything =
        async || (served().await, index.chunks(kb, &id, 0..100).await.unwrap(), graph(index, kb).await);
    let none = Limits::default();
    assert_eq!(served().await, None);
    let old = [
        entity("a.md", 0, "Curie", "person", "A physicist."),
        relation("a.md", 1, ["Curie", "Paris"], "works", 1.0),
    ];
    let done = IndexChange::Done(GraphDelta { entities: 2, relations: 1 });
    for _ in 0..2 {
        assert_eq!(put(3, Some(&cut(2, "old")), &old, &none).await, done);
        assert_eq!(served().await, Some((3, DocumentCounts { chunks: 2, entities: 2, relations: 1 })));
    }
    let before = everything().await;
    let new = [entity("a.md", 0, "Bohr", "person", "A Dane."), entity("a.md", 0, "Oslo", "place", "A city.")];
    assert_eq!(put(2, Some(&cut(1, "older")), &new, &none).await, IndexChange::Outdated);
    let one = Limits { entities_per_kb: Some(1), ..Limits::default() };
    let more = [&new[..], &[entity("a.md", 0, "Riga", "place", "A city.")]].concat();
    let over = OverQuota { quota: Quota::EntitiesPerKb, current: 2, maximum: 1 };
    assert_eq!(put(4, Some(&cut(1, "new")), &more, &one).await, IndexChange::OverQuota(over));
    assert_eq!(everything().await, before, "nothing of either");

    assert_eq!(
        put(4, Some(&cut(1, "new")), &new, &none).await,
        IndexChange::Done(GraphDelta { entities: 2, relations: 0 })
    );
    assert_eq!(served().await, Some((4, DocumentCounts { chunks: 1, entities: 2, relations: 0 })));
    assert_eq!(index.chunks(kb, &id, 0..100).await.unwrap(), cut(1, "new"));
    let names: Vec<_> = graph(index, kb).await.0.into_iter().map(|entity| entity.name).collect();
    assert_eq!(names, ["Bohr", "Oslo"]);

    // Chunks that an earlier release has put there stay, and get their revision.
    index.chunks_replace(kb, &id, "a.md", &cut(3, "there")).await.unwrap();
    assert_eq!(served().await, None);
    assert_eq!(put(1, None, &old, &none).await, done);
    assert_eq!(served().await, Some((1, DocumentCounts { chunks: 3, entities: 2, relations: 1 })));
    let twin = pair.twin.stores.index();
    assert_eq!(twin.document_served(kb, &id).await.unwrap(), None);
    assert_eq!(twin.counts(&pair.twin.kb).await.unwrap(), GraphCounts::default());
}
