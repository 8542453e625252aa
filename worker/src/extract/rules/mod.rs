//! The offline extractor: names by their shape, relations by their closeness. Lexical demo quality.
//!
//! 1. [`sentence`] cuts the chunk into sentences and [`token`] those into words.
//! 2. [`spot`] finds names by capitals and shape; [`usage`] tells names from words that begin a sentence.
//! 3. [`terms`] adds frequent words or character sequences where that finds next to nothing.
//! 4. [`kind`] guesses types, [`links`] relates what stands close together.
//!
//! The result depends on nothing but the chunk.

mod candidate;
mod kind;
mod links;
mod rules_extractor;
mod sentence;
mod spot;
mod terms;
mod token;
mod usage;
mod words;

pub use rules_extractor::RulesExtractor;
#[cfg(test)]
pub(in crate::extract) use rules_extractor::extract;
