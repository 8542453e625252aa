use jobs::DocumentId;

use super::fixture::Pair;
use crate::Opened;
use crate::model::{Chunk, GraphCounts};

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

    // The other tenant gets nothing even if it learns the workspace, and its own writes stay its own.
    let twin = pair.twin.stores.index();
    assert_eq!(twin.chunks(&pair.acme.kb, &id, 0..10).await.unwrap(), []);
    assert_eq!(twin.counts(&pair.acme.kb).await.unwrap(), GraphCounts::default());
    twin.chunks_replace(&pair.twin.kb, &id, "a.md", &cut(1, "twin")).await.unwrap();
    twin.chunks_replace(&pair.acme.kb, &id, "a.md", &[]).await.unwrap();
    assert_eq!(index.chunks(&pair.acme.kb, &id, 0..10).await.unwrap(), cut(3, "acme"));
    assert_eq!(twin.chunks(&pair.twin.kb, &id, 0..10).await.unwrap(), cut(1, "twin"));
}
