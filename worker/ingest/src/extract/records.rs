//! Collects entities and relations of one chunk, within LightRAG's limits.

use std::collections::HashMap;

use stores::model::{ExtractedEntity, ExtractedRelation, Extraction};

use super::names;
use super::names::SEPARATOR;

/// Entities per chunk.
pub(super) const ENTITIES_MAX: usize = 40;
/// Entities and relations per chunk.
pub(super) const RECORDS_MAX: usize = 100;
/// Further keywords of one relation are dropped.
const KEYWORDS_MAX: usize = 50;
/// Further descriptions of one record are dropped.
const DESCRIPTIONS_BYTES_MAX: usize = 16 * 1024;

/// Collects records in the order in which they come, cleans them, and drops incomplete ones, relations of an entity
/// with itself, and those beyond the limits. Several records about the same thing are merged.
#[derive(Debug, Default)]
pub(super) struct Records {
    extraction: Extraction,
    entities: HashMap<String, usize>,
    relations: HashMap<(String, String), usize>,
}

impl Records {
    /// Returns whether the record was complete and within the limits.
    pub(super) fn entity(&mut self, name: &str, kind: &str, description: &str) -> bool {
        let cleaned = (names::entity_name(name), names::entity_type(kind), names::description(description));
        let (Some(name), Some(kind), Some(description)) = cleaned else { return false };
        if let Some(&index) = self.entities.get(&name) {
            append(&mut self.extraction.entities[index].description, &description);
            return true;
        }
        if self.extraction.entities.len() >= ENTITIES_MAX || self.is_full() {
            return false;
        }
        self.entities.insert(name.clone(), self.extraction.entities.len());
        self.extraction.entities.push(ExtractedEntity { name, kind, description });
        true
    }

    /// Returns whether the record was complete and within the limits. The ends may come in either order.
    pub(super) fn relation(&mut self, one: &str, other: &str, keywords: &str, description: &str) -> bool {
        let cleaned = (names::entity_name(one), names::entity_name(other), names::description(description));
        let (Some(one), Some(other), Some(description)) = cleaned else { return false };
        if one == other {
            return false;
        }
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
            return true;
        }
        if self.is_full() {
            return false;
        }
        self.relations.insert(key.clone(), self.extraction.relations.len());
        let (source, target) = key;
        let relation = ExtractedRelation { source, target, keywords, description, weight: 1.0 };
        self.extraction.relations.push(relation);
        true
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
    // Each description is compared with all before it, and a model may repeat a name for megabytes.
    if descriptions.len() > DESCRIPTIONS_BYTES_MAX {
        return;
    }
    if !descriptions.split(SEPARATOR).any(|known| known == description) {
        descriptions.push_str(SEPARATOR);
        descriptions.push_str(description);
    }
}
