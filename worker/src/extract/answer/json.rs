//! The JSON form: `{"entities": [{name, type, description}], "relationships": [{source, target, …}]}`.

use serde::Deserialize;

use crate::extract::records::Records;

/// Deeper nesting is no answer of ours.
const DEPTH_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(untagged)]
enum Record {
    Relation {
        #[serde(alias = "src", alias = "source_entity")]
        source: String,
        #[serde(alias = "tgt", alias = "target_entity")]
        target: String,
        #[serde(default, alias = "relationship_keywords")]
        keywords: Keywords,
        #[serde(alias = "relationship_description")]
        description: String,
    },
    Entity {
        #[serde(alias = "entity_name")]
        name: String,
        #[serde(alias = "entity_type")]
        r#type: String,
        #[serde(alias = "entity_description")]
        description: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Keywords {
    Line(String),
    List(Vec<String>),
}

impl Default for Keywords {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// Reads every record in the answer, and tells whether the answer is a whole JSON object with a list of
/// entities.
///
/// Records are picked out one by one, so prose or a code fence around the JSON and a missing end do no harm.
pub(super) fn read(answer: &str, records: &mut Records) -> bool {
    for object in flat_objects(answer) {
        match serde_json::from_str(object) {
            Ok(Record::Entity { name, r#type, description }) => records.entity(&name, &r#type, &description),
            Ok(Record::Relation { source, target, keywords, description }) => {
                let keywords = match keywords {
                    Keywords::Line(keywords) => keywords,
                    Keywords::List(keywords) => keywords.join(","),
                };
                records.relation(&source, &target, &keywords, &description)
            }
            Err(_) => false,
        };
    }
    let object = answer.find('{').and_then(|start| answer.rfind('}').and_then(|end| answer.get(start..=end)));
    let whole: Option<serde_json::Value> = object.and_then(|object| serde_json::from_str(object).ok());
    whole.is_some_and(|whole| whole.get("entities").is_some_and(serde_json::Value::is_array))
}

/// Every `{…}` that has no other inside.
fn flat_objects(answer: &str) -> Vec<&str> {
    let mut objects = Vec::new();
    let mut opened: Vec<usize> = Vec::new();
    let mut innermost = None;
    let (mut in_string, mut is_escaped) = (false, false);
    for (at, byte) in answer.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            // Quotation marks in the prose before the JSON open no string.
            b'"' if !opened.is_empty() => in_string = !in_string,
            b'{' if !in_string => {
                if opened.len() == DEPTH_MAX {
                    break;
                }
                opened.push(at);
                innermost = Some(at);
            }
            b'}' if !in_string => {
                let start = opened.pop();
                if start.is_some() && start == innermost {
                    objects.extend(start.and_then(|start| answer.get(start..=at)));
                }
                innermost = None;
            }
            _ => {}
        }
    }
    objects
}
