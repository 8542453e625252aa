//! Parses the answer of a language model: JSON, or the delimited lines that LightRAG also accepts.

use std::borrow::Cow;

use serde::Deserialize;
use stores::model::Extraction;

use super::records::Records;

/// An answer in which nothing could be recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the model's answer holds neither the JSON object asked for nor delimited lines")]
pub struct UnreadableAnswer;

/// Parses an answer. Incomplete records are dropped; an answer that was cut short gives the records before the cut.
///
/// # Errors
/// When the answer has no record and does not state that there are none.
pub fn parse_answer(answer: &str) -> Result<Extraction, UnreadableAnswer> {
    let answer = without_thoughts(answer);
    let repaired = repair_delimiters(answer);
    let mut records = Records::default();
    let is_whole = if repaired.contains(DELIMITER) || is_complete(answer) {
        read_lines(&repaired, &mut records);
        is_complete(answer)
    } else {
        read_json(answer, &mut records)
    };
    if records.is_empty() && !is_whole { Err(UnreadableAnswer) } else { Ok(records.finish()) }
}

/// Drops the reasoning that some models print before their answer.
fn without_thoughts(answer: &str) -> &str {
    answer.rsplit_once("</think>").map_or(answer, |(_, answer)| answer)
}

/// No answer that we ask for is nested deeper.
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

/// Reads every record in the answer. Returns whether the answer is a whole JSON object with a list of entities.
///
/// Records are picked out one by one, so prose or a code fence around the JSON and a missing end do no harm.
fn read_json(answer: &str, records: &mut Records) -> bool {
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

/// Every `{…}` that contains no other.
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

const DELIMITER: &str = "<|#|>";
const COMPLETE: [&str; 2] = ["<|COMPLETE|>", "<|complete|>"];
/// Longest damaged delimiter we recognise, in bytes.
const DAMAGED_BYTES_MAX: usize = 9;

fn is_complete(answer: &str) -> bool {
    COMPLETE.iter().any(|end| answer.contains(end))
}

/// Reads the records of an answer whose delimiters are repaired.
fn read_lines(answer: &str, records: &mut Records) {
    let answer = COMPLETE.iter().fold(answer.to_owned(), |answer, end| answer.replace(end, "\n"));
    for line in answer.lines() {
        for record in split_records(line.trim()) {
            read_record(&record, records);
        }
    }
}

/// Models also put a delimiter where a line should end.
fn split_records(line: &str) -> Vec<Vec<&str>> {
    let mut records: Vec<Vec<&str>> = Vec::new();
    for field in line.split(DELIMITER).map(str::trim) {
        match records.last_mut() {
            Some(record) if record.len() < 4 || !is_record_name(field) => record.push(field),
            _ => records.push(vec![field]),
        }
    }
    records
}

fn is_record_name(field: &str) -> bool {
    matches!(field, "entity" | "relation" | "relationship")
}

fn read_record(record: &[&str], records: &mut Records) -> bool {
    match record {
        [first, name, kind, description] if first.to_lowercase().contains("entity") => {
            records.entity(name, kind, description)
        }
        // A relation that the model called an entity still has a relation's five fields.
        [first, source, target, keywords, description]
            if ["entity", "relation"].iter().any(|name| first.to_lowercase().contains(name)) =>
        {
            records.relation(source, target, keywords, description)
        }
        _ => false,
    }
}

/// Repairs delimiters that the model got slightly wrong, such as `<#>`, `<||>` or `<|#|`.
pub(super) fn repair_delimiters(answer: &str) -> Cow<'_, str> {
    if !answer.contains('<') {
        return Cow::Borrowed(answer);
    }
    let mut out = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = damaged_length(rest);
        out.push_str(if length.is_some() { DELIMITER } else { "<" });
        rest = &rest[length.unwrap_or(1)..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Length of the delimiter, whole or damaged, at the start of `rest`.
fn damaged_length(rest: &str) -> Option<usize> {
    let end = rest.bytes().take(DAMAGED_BYTES_MAX).position(|byte| byte == b'>');
    if let Some(end) = end.filter(|&end| is_damaged(&rest[1..end])) {
        return Some(end + 1);
    }
    if rest.starts_with("<|#:") {
        return Some("<|#:".len());
    }
    let after = rest.strip_prefix("<|#|")?;
    Some(rest.len() - after.trim_start_matches('|').len())
}

/// Whether this, between angle brackets, was meant as `|#|`: at most one character is foreign.
fn is_damaged(inner: &str) -> bool {
    let foreign = inner.chars().filter(|c| !matches!(c, '|' | '#' | '\\')).count();
    match inner {
        "||" | "#" => true,
        _ => inner.contains('#') && inner.contains('|') && foreign <= 1,
    }
}
