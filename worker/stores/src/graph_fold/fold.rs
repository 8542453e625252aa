//! The fold itself.

use std::collections::{BTreeMap, HashSet};

use crate::model::{Entity, Relation};

/// How many mentions a fold looks at: the first in byte order of chunk id. All others count for a relation's
/// weight only.
pub(crate) const MENTIONS_READ: usize = 200;
/// How many distinct descriptions an entity or relation keeps.
const FRAGMENTS_KEPT: usize = 50;
/// How many distinct documents it names, as `LightRAG` does.
const FILES_KEPT: usize = 75;
/// How many distinct keywords a relation keeps.
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

/// The entity `name` from its mentions: at least the first [`MENTIONS_READ`] by chunk id, in any order.
/// `None` without mentions: then [`unknown_entity`] decides.
pub(crate) fn entity(name: &str, mut rows: Vec<EntityRow>) -> Option<Entity> {
    rows.sort_unstable();
    rows.truncate(MENTIONS_READ);
    Some(Entity {
        name: name.to_owned(),
        entity_type: most_frequent(rows.iter().map(|row| row.entity_type.as_str()))?.to_owned(),
        description: fragments(rows.iter().map(|row| row.description.as_str())),
        source_id: distinct(rows.iter().map(|row| row.chunk_id.as_str()), MENTIONS_READ).join(SEPARATOR),
        file_path: distinct(rows.iter().map(|row| row.file.as_str()), FILES_KEPT).join(SEPARATOR),
    })
}

/// The entity `name` when no mention is about it, from the mentions of relations that it is an end of: at
/// least the first [`MENTIONS_READ`] by chunk id, source and target, in any order. `None` without: then there
/// is no such entity.
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

/// The relation from `source` to `target` from its mentions, as for [`entity`], and the sum of the weights of
/// all of them.
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

/// The most frequent text; of several the one that comes first.
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

/// Thousandths as a number: exact, since both parts are whole numbers that an `f64` holds.
fn weight(milli: i64) -> f64 {
    let whole = u32::try_from(milli / 1_000).unwrap_or(if milli < 0 { 0 } else { u32::MAX });
    let rest = u32::try_from(milli % 1_000).unwrap_or(0);
    f64::from(whole) + f64::from(rest) / 1_000.0
}

#[cfg(test)]
mod tests {
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
