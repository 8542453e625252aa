use serde::{Deserialize, Serialize};

use super::relation_cursor::RelationCursor;

/// Something that one chunk of a document says about an entity or a relation.
///
/// The graph is a pure fold over its mentions, so the order in which documents arrive leaves no trace in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// About what.
    pub kind: MentionKind,
    /// The chunk that says so; see [`jobs::DocumentId::chunk_id`].
    pub chunk_id: String,
    /// What it says.
    pub description: String,
}

/// What a mention is about.
#[derive(Debug, Clone, PartialEq)]
pub enum MentionKind {
    /// An entity.
    Entity {
        /// Its name.
        name: String,
        /// The type that this chunk gives it.
        entity_type: String,
    },
    /// A relation. `source` sorts before `target` by code point.
    Relation {
        /// One end.
        source: String,
        /// The other end.
        target: String,
        /// What it is about.
        keywords: Vec<String>,
        /// How strong this mention is.
        weight: f64,
    },
}

/// A node of the graph, in `LightRAG`'s words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// Its most frequent type.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The distinct descriptions, joined by `<SEP>`.
    pub description: String,
    /// The chunks that mention it, joined by `<SEP>`.
    pub source_id: String,
    /// The documents that mention it, joined by `<SEP>`.
    pub file_path: String,
}

/// An edge of the graph, in `LightRAG`'s words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Relation {
    /// The end whose name sorts first.
    pub source: String,
    /// The other end.
    pub target: String,
    /// What it is about, sorted, joined by `,`.
    pub keywords: String,
    /// The distinct descriptions, joined by `<SEP>`.
    pub description: String,
    /// The sum of its mentions' weights.
    pub weight: f64,
    /// The chunks that mention it, joined by `<SEP>`.
    pub source_id: String,
    /// The documents that mention it, joined by `<SEP>`.
    pub file_path: String,
}

impl Relation {
    /// Where a page ends whose last relation this is.
    #[must_use]
    pub fn cursor(&self) -> RelationCursor {
        RelationCursor { source: self.source.clone(), target: self.target.clone() }
    }
}

/// What one document contributed to the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphDelta {
    /// Distinct entities it mentions.
    pub entities: u32,
    /// Distinct relations it mentions.
    pub relations: u32,
}

/// How much is in a knowledge base's index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct GraphCounts {
    /// Text chunks.
    pub chunks: u64,
    /// Nodes.
    pub entities: u64,
    /// Edges.
    pub relations: u64,
}

/// Some items, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in a fixed order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}
