use serde::{Deserialize, Serialize};

/// The text of a document, as parsed from its original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedDocument {
    /// The revision that was parsed.
    pub revision: u64,
    /// Its title, when it has one.
    pub title: Option<String>,
    /// Its text.
    pub text: String,
}

/// A run of a document's text, cut for extraction and retrieval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its place in the document, counted from zero.
    pub order: u32,
    /// Its length in tokens.
    pub tokens: u32,
    /// Its text.
    pub content: String,
}

/// What one chunk says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    /// The things it names.
    pub entities: Vec<ExtractedEntity>,
    /// What it says about pairs of them.
    pub relations: Vec<ExtractedRelation>,
}

/// A thing that a chunk names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedEntity {
    /// Its name, at most 256 characters.
    pub name: String,
    /// Its type, lower case, such as `person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the chunk says of it.
    pub description: String,
}

/// What a chunk says about two things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractedRelation {
    /// The one whose name sorts first by code point.
    pub source: String,
    /// The other.
    pub target: String,
    /// What the relation is about.
    pub keywords: Vec<String>,
    /// What the chunk says of it.
    pub description: String,
    /// How strong it is; 1.0 for one mention.
    pub weight: f64,
}
