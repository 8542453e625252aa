use stores::model::Extraction;

use super::{json, lines};
use crate::extract::records::Records;

/// An answer in which nothing could be recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the model's answer holds neither the JSON object asked for nor delimited lines")]
pub struct UnreadableAnswer;

/// Reads an answer. Records that are incomplete are dropped; an answer cut short gives the records before the
/// cut.
///
/// # Errors
/// When the answer has no record and does not say that there are none.
pub fn parse_answer(answer: &str) -> Result<Extraction, UnreadableAnswer> {
    let answer = without_thoughts(answer);
    let repaired = lines::repair_delimiters(answer);
    let mut records = Records::default();
    let is_whole = if repaired.contains(lines::DELIMITER) || lines::is_complete(answer) {
        lines::read(&repaired, &mut records);
        lines::is_complete(answer)
    } else {
        json::read(answer, &mut records)
    };
    if records.is_empty() && !is_whole { Err(UnreadableAnswer) } else { Ok(records.finish()) }
}

/// Drops what reasoning models print before their answer.
fn without_thoughts(answer: &str) -> &str {
    answer.rsplit_once("</think>").map_or(answer, |(_, answer)| answer)
}
