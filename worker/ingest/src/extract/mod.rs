//! From a chunk of text to the entities and relations it names.
//!
//! [`RulesExtractor`] needs nothing but the text: it spots names by their shape and links those that stand
//! close together. That is lexical, demo quality. [`OpenAiExtractor`] asks a language model behind any
//! endpoint that speaks OpenAI's chat completions. Both keep within LightRAG's limits, so an unmodified
//! LightRAG can read the graph.

pub use answer::{UnreadableAnswer, parse_answer};
pub use extractor::{ExtractError, Extractor};
pub use openai::{InvalidOpenAiSettings, OpenAiExtractor, OpenAiSettings};
pub use rules::RulesExtractor;

mod answer;
mod extractor;
mod names;
mod openai;
mod records;
mod rules;

#[cfg(test)]
mod tests;
