//! LightRAG's delimited form: one record a line, `entity<|#|>name<|#|>type<|#|>description` or
//! `relation<|#|>source<|#|>target<|#|>keywords<|#|>description`, and `<|COMPLETE|>` at the end.

use std::borrow::Cow;

use crate::extract::records::Records;

pub(super) const DELIMITER: &str = "<|#|>";
const COMPLETE: [&str; 2] = ["<|COMPLETE|>", "<|complete|>"];
/// Longest damaged delimiter we recognise, in bytes.
const DAMAGED_BYTES_MAX: usize = 9;

pub(super) fn is_complete(answer: &str) -> bool {
    COMPLETE.iter().any(|end| answer.contains(end))
}

/// Reads the records of an answer whose delimiters are repaired.
pub(super) fn read(answer: &str, records: &mut Records) {
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
pub(in crate::extract) fn repair_delimiters(answer: &str) -> Cow<'_, str> {
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
