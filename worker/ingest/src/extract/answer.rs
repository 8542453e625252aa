//! Parses the answer of a language model: JSON, or the delimited lines that LightRAG also accepts.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use stores::model::Extraction;

use super::records::Records;

/// An answer of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnreadableAnswer {
    /// Nothing could be recognised.
    #[error("the model's answer holds neither the JSON object asked for nor delimited lines")]
    NoRecords,
    /// There are records, and all of them lack what a record needs.
    #[error("none of the {0} records in the model's answer has what a record needs")]
    AllDropped(u32),
}

/// Parses an answer. Incomplete records are dropped, and counted; an answer that was cut short gives the records before
/// the cut.
///
/// # Errors
/// When the answer has no record and does not state that there are none, or no record that can be used.
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
    match (records.is_empty(), records.dropped()) {
        (true, 0) if !is_whole => Err(UnreadableAnswer::NoRecords),
        (true, dropped @ 1..) => Err(UnreadableAnswer::AllDropped(dropped)),
        _ => Ok(records.finish()),
    }
}

/// Drops the reasoning that some models print before their answer. Reasoning without an end is no answer, unless it
/// ends with the object that we ask for.
fn without_thoughts(answer: &str) -> &str {
    let answer = answer.rsplit_once("</think>").map_or(answer, |(_, answer)| answer);
    let Some((before, thoughts)) = answer.split_once("<think>") else { return answer };
    let last = thoughts.rfind("\"entities\"").and_then(|entities| thoughts[..entities].rfind('{'));
    let last = last.map(|start| thoughts[start..].trim_end().trim_end_matches('`').trim_end());
    let is_whole = |object: &&str| serde_json::from_str::<IgnoredAny>(object).is_ok();
    last.filter(is_whole).filter(|_| before.trim().is_empty()).unwrap_or(before)
}

/// No answer that we ask for is nested deeper.
const DEPTH_MAX: usize = 64;
/// Objects with more bytes are no records.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Reads every record in the answer. Returns whether the answer is a whole JSON object with a list of entities.
///
/// Records are picked out one by one, so prose or a code fence around the JSON and a missing end do no harm.
fn read_json(answer: &str, records: &mut Records) -> bool {
    let mut end_of_record = 0;
    for (start, object) in objects(answer) {
        // An object inside a record is a part of it.
        if start < end_of_record || object.len() > RECORD_BYTES_MAX {
            continue;
        }
        let Ok(fields) = serde_json::from_str::<Map<String, Value>>(object) else { continue };
        if read_object(&fields, records) {
            end_of_record = start + object.len();
        }
    }
    let object = answer.find('{').and_then(|start| answer.rfind('}').and_then(|end| answer.get(start..=end)));
    let whole: Option<Value> = object.and_then(|object| serde_json::from_str(object).ok());
    whole.is_some_and(|whole| whole.get("entities").is_some_and(Value::is_array))
}

/// Returns whether the object is a record, complete or not.
fn read_object(fields: &Map<String, Value>, records: &mut Records) -> bool {
    // What holds records is none.
    if ["entities", "relationships", "relations"].iter().any(|name| fields.contains_key(*name)) {
        return false;
    }
    let field = |names: [&str; 3]| names.iter().find_map(|name| fields.get(*name));
    let description = field(["description", "entity_description", "relationship_description"]);
    let ends = (field(["source", "src", "source_entity"]), field(["target", "tgt", "target_entity"]));
    if let (Some(source), Some(target)) = ends {
        let keywords = field(["keywords", "relationship_keywords", "keyword"]);
        records.relation(&word(source), &word(target), &list(keywords), &text(description));
        return true;
    }
    let kind = field(["type", "entity_type", "category"]);
    match field(["name", "entity_name", "entity"]) {
        // Other objects have names too, such as calls of functions.
        Some(name) if kind.is_some() || description.is_some() => {
            records.entity(&word(name), &kind.map(word).unwrap_or_default(), &text(description));
            true
        }
        _ => false,
    }
}

/// A field that is one word or name: the first of a list. Empty when there is none.
fn word(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            values.first().filter(|first| !first.is_array()).map(word).unwrap_or_default()
        }
        other => text(Some(other)),
    }
}

/// A field that is text; a list is several sentences.
fn text(value: Option<&Value>) -> String {
    joined(value, " ")
}

fn list(value: Option<&Value>) -> String {
    joined(value, ",")
}

fn joined(value: Option<&Value>, separator: &str) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(values)) => {
            let texts = values.iter().filter(|value| !value.is_array()).map(|value| text(Some(value)));
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(separator)
        }
        _ => String::new(),
    }
}

/// Every `{…}` with where it begins, the outer before the inner.
fn objects(answer: &str) -> Vec<(usize, &str)> {
    let mut objects: Vec<(usize, &str)> = Vec::new();
    let mut opened: Vec<usize> = Vec::new();
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
            }
            b'}' if !in_string => {
                if let Some(start) = opened.pop() {
                    objects.extend(answer.get(start..=at).map(|object| (start, object)));
                }
            }
            _ => {}
        }
    }
    objects.sort_unstable_by_key(|(start, _)| *start);
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

fn read_record(record: &[&str], records: &mut Records) {
    match record {
        [first, name, kind, description] if first.to_lowercase().contains("entity") => {
            records.entity(name, kind, description);
        }
        // A relation that the model called an entity still has a relation's five fields.
        [first, source, target, keywords, description]
            if ["entity", "relation"].iter().any(|name| first.to_lowercase().contains(name)) =>
        {
            records.relation(source, target, keywords, description);
        }
        [first, ..] if is_record_name(first) => records.drop_one(),
        _ => {}
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
