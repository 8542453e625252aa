//! Collects entities and relations of one chunk, within LightRAG's limits.

use std::collections::HashMap;

use stores::model::{ExtractedEntity, ExtractedRelation, Extraction};

use super::names;
use super::names::SEPARATOR;

/// Entities per chunk.
pub(super) const ENTITIES_MAX: usize = 40;
/// Entities and relations per chunk.
pub(super) const RECORDS_MAX: usize = 100;
/// The type of an entity that has none, as the graph calls those that only relations name.
const UNKNOWN: &str = "UNKNOWN";
/// Further keywords of one relation are dropped.
const KEYWORDS_MAX: usize = 50;
/// Further descriptions of one record are dropped.
const DESCRIPTIONS_BYTES_MAX: usize = 16 * 1024;

/// Collects records in the order in which they come, cleans them, and drops those without a name, relations of an
/// entity with itself, and those beyond the limits. Several records about the same thing are merged.
#[derive(Debug, Default)]
pub(super) struct Records {
    extraction: Extraction,
    entities: HashMap<String, usize>,
    relations: HashMap<(String, String), usize>,
}

impl Records {
    /// Adds an entity. What has no type or description is an entity nevertheless.
    pub(super) fn entity(&mut self, name: &str, kind: &str, description: &str) {
        if names::is_no_name(name) {
            return;
        }
        let Some(name) = names::entity_name(name) else { return self.drop_one() };
        let without_remark = || names::entity_type(kind.split('(').next()?);
        let kind = names::entity_type(kind).or_else(without_remark).unwrap_or_else(|| UNKNOWN.to_owned());
        let description = names::description(description).unwrap_or_default();
        if let Some(&index) = self.entities.get(&name) {
            append(&mut self.extraction.entities[index].description, &description);
            return;
        }
        if self.extraction.entities.len() >= ENTITIES_MAX || self.is_full() {
            return self.drop_one();
        }
        self.entities.insert(name.clone(), self.extraction.entities.len());
        self.extraction.entities.push(ExtractedEntity { name, kind, description });
    }

    /// Adds a relation. The ends may come in either order.
    pub(super) fn relation(&mut self, one: &str, other: &str, keywords: &str, description: &str) {
        if names::is_no_name(one) || names::is_no_name(other) {
            return;
        }
        let ends = names::entity_name(one).zip(names::entity_name(other));
        let Some((one, other)) = ends.filter(|(one, other)| one != other) else { return self.drop_one() };
        let description = names::description(description).unwrap_or_default();
        let keywords = names::keywords(keywords);
        let (source, target) = if one < other { (one, other) } else { (other, one) };
        let key = (source, target);
        if let Some(&index) = self.relations.get(&key) {
            let relation = &mut self.extraction.relations[index];
            append(&mut relation.description, &description);
            for keyword in keywords {
                if relation.keywords.len() < KEYWORDS_MAX && !relation.keywords.contains(&keyword) {
                    relation.keywords.push(keyword);
                }
            }
            return;
        }
        if self.is_full() {
            return self.drop_one();
        }
        self.relations.insert(key.clone(), self.extraction.relations.len());
        let (source, target) = key;
        let relation = ExtractedRelation { source, target, keywords, description, weight: 1.0 };
        self.extraction.relations.push(relation);
    }

    /// Counts a record that cannot be kept.
    pub(super) fn drop_one(&mut self) {
        self.extraction.dropped = self.extraction.dropped.saturating_add(1);
    }

    /// Records that were not kept.
    pub(super) fn dropped(&self) -> u32 {
        self.extraction.dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extraction.entities.is_empty() && self.extraction.relations.is_empty()
    }

    pub(super) fn finish(self) -> Extraction {
        self.extraction
    }

    fn is_full(&self) -> bool {
        self.extraction.entities.len() + self.extraction.relations.len() >= RECORDS_MAX
    }
}

fn append(descriptions: &mut String, description: &str) {
    if description.is_empty() || descriptions.is_empty() {
        descriptions.push_str(description);
        return;
    }
    // Each description is compared with all before it, and a model may repeat a name for megabytes.
    if descriptions.len() > DESCRIPTIONS_BYTES_MAX {
        return;
    }
    if !descriptions.split(SEPARATOR).any(|known| known == description) {
        descriptions.push_str(SEPARATOR);
        descriptions.push_str(description);
    }
}
