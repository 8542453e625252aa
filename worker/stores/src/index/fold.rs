//! Computes entities and relations from mentions: one pure fold, shared by every implementation of the index.
//!
//! The index keeps a log of mentions, at most one for each (entity, chunk) and (relation, chunk). An entity or
//! relation is a fold over its mentions in byte order of chunk id, so the result depends neither on the order in
//! which documents arrive nor on whether one arrives twice. A fold reads at most [`MENTIONS_READ`] mentions, so an
//! entity with ten thousand mentions costs no more than one with two hundred.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{Entity, GraphDelta, Mention, MentionKind, Relation};

/// Mentions read by a fold: the first in byte order of chunk id. All others count for a relation's weight only.
pub(crate) const MENTIONS_READ: usize = 200;
/// Distinct descriptions kept of an entity or relation.
const FRAGMENTS_KEPT: usize = 50;
/// Distinct documents named by it, as in `LightRAG`.
const FILES_KEPT: usize = 75;
/// Distinct keywords kept of a relation.
const KEYWORDS_KEPT: usize = 50;
/// `LightRAG`'s separator.
const SEPARATOR: &str = "<SEP>";
/// The type of an entity that only relations mention.
const UNKNOWN: &str = "UNKNOWN";

/// A mention of one entity. Ordered by chunk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntityRow {
    pub(crate) chunk_id: String,
    pub(crate) file: String,
    pub(crate) entity_type: String,
    pub(crate) description: String,
}

/// A mention of a relation. Ordered by chunk, then by the two ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RelationRow {
    pub(crate) chunk_id: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) file: String,
    /// Joined by `,`.
    pub(crate) keywords: String,
    pub(crate) description: String,
}

/// The entity `name`, folded from its mentions. Pass at least the first [`MENTIONS_READ`] by chunk id, in any
/// order. `None` without mentions: then use [`unknown_entity`].
pub(crate) fn entity(name: &str, mut rows: Vec<EntityRow>) -> Option<Entity> {
    rows.sort_unstable();
    rows.truncate(MENTIONS_READ);
    let types = || rows.iter().map(|row| row.entity_type.as_str());
    let known = most_frequent(types().filter(|known| *known != UNKNOWN));
    Some(Entity {
        name: name.to_owned(),
        entity_type: known.or_else(|| most_frequent(types()))?.to_owned(),
        description: fragments(rows.iter().map(|row| row.description.as_str())),
        source_id: distinct(rows.iter().map(|row| row.chunk_id.as_str()), MENTIONS_READ).join(SEPARATOR),
        file_path: distinct(rows.iter().map(|row| row.file.as_str()), FILES_KEPT).join(SEPARATOR),
    })
}

/// The entity `name` when only relations mention it, folded from those. Pass at least the first [`MENTIONS_READ`]
/// by chunk id with `name` as source or target, in any order. `None` without mentions: then there is no such
/// entity.
pub(crate) fn unknown_entity(name: &str, mut rows: Vec<RelationRow>) -> Option<Entity> {
    rows.sort_unstable();
    rows.truncate(MENTIONS_READ);
    let rows = rows.into_iter().map(|row| EntityRow {
        chunk_id: row.chunk_id,
        file: row.file,
        entity_type: UNKNOWN.to_owned(),
        description: row.description,
    });
    entity(name, rows.collect())
}

/// The relation from `source` to `target`, folded from its mentions as for [`entity`], with the sum of the weights
/// of all of them.
pub(crate) fn relation(
    source: &str,
    target: &str,
    mut rows: Vec<RelationRow>,
    weight_milli_total: i64,
) -> Option<Relation> {
    rows.sort_unstable();
    rows.truncate(MENTIONS_READ);
    rows.first()?;
    let mut keywords = distinct(rows.iter().flat_map(|row| row.keywords.split(',')), KEYWORDS_KEPT);
    keywords.sort_unstable();
    Some(Relation {
        source: source.to_owned(),
        target: target.to_owned(),
        keywords: keywords.join(","),
        description: fragments(rows.iter().map(|row| row.description.as_str())),
        weight: weight(weight_milli_total),
        source_id: distinct(rows.iter().map(|row| row.chunk_id.as_str()), MENTIONS_READ).join(SEPARATOR),
        file_path: distinct(rows.iter().map(|row| row.file.as_str()), FILES_KEPT).join(SEPARATOR),
    })
}

/// The most frequent text; among equals the first.
fn most_frequent<'a>(texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (place, text) in texts.enumerate() {
        counts.entry(text).or_insert((0, usize::MAX - place)).0 += 1;
    }
    counts.into_iter().max_by_key(|(_, rank)| *rank).map(|(text, _)| text)
}

fn fragments<'a>(descriptions: impl Iterator<Item = &'a str>) -> String {
    distinct(descriptions.flat_map(|text| text.split(SEPARATOR)), FRAGMENTS_KEPT).join(SEPARATOR)
}

/// The first `limit` distinct texts that are not blank, trimmed, in the order in which they come.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.map(str::trim).filter(|text| !text.is_empty() && seen.insert(*text)).take(limit).collect()
}

/// Thousandths as a number. Exact, because an `f64` holds both parts as whole numbers.
pub(super) fn weight(milli: i64) -> f64 {
    let whole = u32::try_from(milli / 1_000).unwrap_or(if milli < 0 { 0 } else { u32::MAX });
    let rest = u32::try_from(milli % 1_000).unwrap_or(0);
    f64::from(whole) + f64::from(rest) / 1_000.0
}

/// One row of the mention log about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityMention {
    pub(crate) name: String,
    pub(crate) entity_type: String,
    pub(crate) chunk_id: String,
    pub(crate) description: String,
}

/// One row of the mention log about a relation; `source` sorts before `target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelationMention {
    pub(crate) source: String,
    pub(crate) target: String,
    /// Joined by `,`.
    pub(crate) keywords: String,
    /// Thousandths: integers add up to the same sum in any order, floating point numbers do not.
    pub(crate) weight_milli: i64,
    pub(crate) chunk_id: String,
    pub(crate) description: String,
}

/// A document's rows of the mention log, sorted by key and chunk, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DocumentMentions {
    pub(crate) entities: Vec<EntityMention>,
    pub(crate) relations: Vec<RelationMention>,
}

impl DocumentMentions {
    /// Converts mentions to rows: of several about the same thing in one chunk the first counts, and the ends of a
    /// relation are put in order. Mentions without a name, and relations of an entity with itself, are dropped.
    pub(crate) async fn of(mentions: &[Mention]) -> Self {
        let (mut entities, mut relations) = (BTreeMap::new(), BTreeMap::new());
        let mut breaks = Breaks::default();
        for Mention { kind, chunk_id, description } in mentions {
            breaks.step().await;
            match kind {
                MentionKind::Entity { name, entity_type } if !name.is_empty() => {
                    entities.entry((name.as_str(), chunk_id.as_str())).or_insert_with(|| EntityMention {
                        name: name.clone(),
                        entity_type: entity_type.clone(),
                        chunk_id: chunk_id.clone(),
                        description: description.clone(),
                    });
                }
                MentionKind::Relation { source, target, keywords, weight } if is_pair(source, target) => {
                    let (source, target) = (source.min(target), source.max(target));
                    relations.entry((source, target, chunk_id)).or_insert_with(|| RelationMention {
                        source: source.clone(),
                        target: target.clone(),
                        keywords: keywords.join(","),
                        weight_milli: weight_milli(*weight),
                        chunk_id: chunk_id.clone(),
                        description: description.clone(),
                    });
                }
                MentionKind::Entity { .. } | MentionKind::Relation { .. } => {}
            }
        }
        Self { entities: entities.into_values().collect(), relations: relations.into_values().collect() }
    }

    /// The entities and relations that these mentions are about.
    pub(crate) async fn keys(&self) -> GraphKeys {
        let (mut keys, mut breaks) = (GraphKeys::default(), Breaks::default());
        for mention in &self.entities {
            breaks.step().await;
            keys.entities.insert(mention.name.clone());
        }
        for mention in &self.relations {
            breaks.step().await;
            keys.insert_relation(mention.source.clone(), mention.target.clone());
        }
        keys
    }
}

/// Keys of entities and relations to be folded anew, in the order in which they are locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GraphKeys {
    /// Names, among them both ends of each relation: an end without mentions of its own exists because of the
    /// relation.
    pub(crate) entities: BTreeSet<String>,
    /// (source, target)
    pub(crate) relations: BTreeSet<(String, String)>,
}

impl GraphKeys {
    /// Adds a relation and both of its ends.
    pub(crate) fn insert_relation(&mut self, source: String, target: String) {
        self.entities.insert(source.clone());
        self.entities.insert(target.clone());
        self.relations.insert((source, target));
    }

    /// The number of keys.
    pub(crate) fn delta(&self) -> GraphDelta {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        GraphDelta { entities: count(self.entities.len()), relations: count(self.relations.len()) }
    }

    /// Adds all keys of `other`.
    pub(crate) async fn extend(&mut self, other: Self) {
        let mut breaks = Breaks::default();
        for name in other.entities {
            breaks.step().await;
            self.entities.insert(name);
        }
        for pair in other.relations {
            breaks.step().await;
            self.relations.insert(pair);
        }
    }
}

fn is_pair(source: &str, target: &str) -> bool {
    source != target && !source.is_empty() && !target.is_empty()
}

/// A sum of weights in thousandths; the inverse of [`weight`].
#[expect(clippy::cast_possible_truncation, reason = "no weight is near what an i64 holds")]
pub(super) fn milli(weight: f64) -> i64 {
    (weight * 1_000.0).round() as i64
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to a range that an i64 holds")]
fn weight_milli(weight: f64) -> i64 {
    let milli = (weight * 1_000.0).round();
    if milli.is_finite() { milli.clamp(0.0, 1e9) as i64 } else { 0 }
}

/// Steps between two yields: well below a millisecond.
const STEPS: u32 = 128;

/// Yields to the runtime between the steps of a long loop.
#[derive(Debug, Default)]
pub(crate) struct Breaks {
    steps: u32,
}

impl Breaks {
    /// Call it once in each round of the loop.
    pub(crate) async fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod fold_tests {
    use super::*;

    fn row(chunk_id: &str, file: &str, entity_type: &str, description: &str) -> EntityRow {
        EntityRow {
            chunk_id: chunk_id.into(),
            file: file.into(),
            entity_type: entity_type.into(),
            description: description.into(),
        }
    }

    fn edge(chunk_id: &str, source: &str, target: &str, keywords: &str) -> RelationRow {
        RelationRow {
            chunk_id: chunk_id.into(),
            source: source.into(),
            target: target.into(),
            file: format!("{chunk_id}.md"),
            keywords: keywords.into(),
            description: format!("{source} and {target}"),
        }
    }

    #[test]
    fn order_leaves_no_trace() {
        let rows = vec![
            row("c2", "b.md", "place", "Second."),
            row("c1", "a.md", "person", "First."),
            row("c3", "a.md", "place", "First."),
        ];
        let expected = Entity {
            name: "Curie".into(),
            entity_type: "place".into(),
            description: "First.<SEP>Second.".into(),
            source_id: "c1<SEP>c2<SEP>c3".into(),
            file_path: "a.md<SEP>b.md".into(),
        };
        assert_eq!(entity("Curie", rows.clone()), Some(expected.clone()));
        assert_eq!(entity("Curie", rows.into_iter().rev().collect()), Some(expected));
        assert_eq!(entity("Curie", Vec::new()), None);
    }

    #[test]
    fn of_equally_frequent_types_the_first_wins() {
        let rows = vec![row("c1", "a", "b", ""), row("c2", "a", "a", ""), row("c3", "a", "c", "")];
        assert_eq!(entity("x", rows).unwrap().entity_type, "b");
    }

    #[test]
    fn a_relation_sums_weights_and_sorts_keywords() {
        let rows = vec![edge("c2", "a", "b", "zeta,alpha"), edge("c1", "a", "b", "alpha, mid,")];
        let relation = relation("a", "b", rows, 2_500).unwrap();
        assert_eq!(relation.keywords, "alpha,mid,zeta");
        assert_eq!(relation.description, "a and b");
        assert_eq!(relation.source_id, "c1<SEP>c2");
        assert_eq!(relation.file_path, "c1.md<SEP>c2.md");
        assert!((relation.weight - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn an_end_that_nothing_mentions_is_described_by_its_relations() {
        let rows = vec![edge("c1", "b", "x", ""), edge("c1", "a", "b", ""), edge("c0", "b", "z", "")];
        let entity = unknown_entity("b", rows).unwrap();
        assert_eq!(entity.entity_type, UNKNOWN);
        assert_eq!(entity.description, "b and z<SEP>a and b<SEP>b and x");
        assert_eq!(entity.source_id, "c0<SEP>c1");
        assert_eq!(unknown_entity("b", Vec::new()), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rows =
            (0..1_000).rev().map(|n| row(&format!("c{n:04}"), &format!("f{n}"), "t", &format!("d{n}")));
        let entity = entity("x", rows.collect()).unwrap();
        let parts = |text: &str| text.split(SEPARATOR).count();
        assert_eq!(parts(&entity.source_id), MENTIONS_READ);
        assert_eq!(parts(&entity.description), FRAGMENTS_KEPT);
        assert_eq!(parts(&entity.file_path), FILES_KEPT);
        assert!(entity.source_id.starts_with("c0000<SEP>c0001<SEP>"));
    }
}

#[cfg(test)]
mod document_tests {
    use super::*;

    fn relation(source: &str, target: &str, chunk_id: &str, weight: f64) -> Mention {
        let (source, target) = (source.to_owned(), target.to_owned());
        Mention {
            kind: MentionKind::Relation { source, target, keywords: vec!["k".into(), "l".into()], weight },
            chunk_id: chunk_id.into(),
            description: format!("weight {weight}"),
        }
    }

    #[tokio::test]
    async fn a_thing_counts_once_for_each_chunk() {
        let mentions = DocumentMentions::of(&[
            relation("b", "a", "c1", 0.5),
            relation("a", "b", "c1", 7.0),
            relation("a", "b", "c0", 1.0),
            relation("a", "a", "c0", 1.0),
            relation("", "a", "c0", 1.0),
        ])
        .await;
        let rows: Vec<_> = mentions.relations.iter().map(|m| (m.chunk_id.as_str(), m.weight_milli)).collect();
        assert_eq!(rows, [("c0", 1_000), ("c1", 500)]);
        assert!(mentions.relations.iter().all(|m| m.source == "a" && m.keywords == "k,l"));
    }

    #[tokio::test]
    async fn both_ends_of_a_relation_are_affected() {
        let keys = DocumentMentions::of(&[relation("b", "a", "c1", 1.0)]).await.keys().await;
        assert_eq!(keys.entities, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(keys.delta(), GraphDelta { entities: 2, relations: 1 });
    }

    #[test]
    fn a_weight_that_is_no_number_weighs_nothing() {
        for (weight, milli) in
            [(f64::NAN, 0), (-1.0, 0), (f64::INFINITY, 0), (0.0004, 0), (1e300, 1_000_000_000)]
        {
            assert_eq!(weight_milli(weight), milli, "{weight}");
        }
    }
}
