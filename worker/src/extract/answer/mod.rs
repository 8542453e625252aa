//! Reads what a language model answered: JSON, or the delimited lines LightRAG also accepts.

mod json;
pub(super) mod lines;
mod parse;

pub use parse::{UnreadableAnswer, parse_answer};
