//! What one document says, in the form in which it is stored.

use std::collections::{BTreeMap, BTreeSet};

use super::breaks::Breaks;
use crate::model::{GraphDelta, Mention, MentionKind};

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
    /// Thousandths: whole numbers add up to the same sum in any order, fractions do not.
    pub(crate) weight_milli: i64,
    pub(crate) chunk_id: String,
    pub(crate) description: String,
}

/// A document's rows of the mention log, sorted by key and chunk, each (key, chunk) once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DocumentMentions {
    pub(crate) entities: Vec<EntityMention>,
    pub(crate) relations: Vec<RelationMention>,
}

impl DocumentMentions {
    /// Brings mentions into stored form: of several about the same thing in one chunk the first counts, the
    /// ends of a relation are put in order; what has no name, and a relation of a thing with itself, is
    /// dropped.
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

/// Entities and relations that have to be derived anew, in the order in which they are locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GraphKeys {
    /// Names, among them both ends of each relation: an end that nothing else mentions exists through the
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

    /// How much there is.
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

#[expect(clippy::cast_possible_truncation, reason = "clamped to a range that an i64 holds")]
fn weight_milli(weight: f64) -> i64 {
    let milli = (weight * 1_000.0).round();
    if milli.is_finite() { milli.clamp(0.0, 1e9) as i64 } else { 0 }
}

#[cfg(test)]
mod tests {
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
