//! The offline extractor: finds names by their shape and relations by proximity. A lexical demo, not a model.
//!
//! 1. [`sentence`] cuts the chunk into sentences and those into words.
//! 2. [`spot`] finds names by capitals and shape, and tells them from words that begin a sentence.
//! 3. [`terms`] adds frequent words or character sequences where that finds next to nothing.
//! 4. [`candidate`] guesses types, [`rules_extractor`] relates what stands close together.
//!
//! The result depends on nothing but the chunk.

pub use rules_extractor::RulesExtractor;
#[cfg(test)]
pub(in crate::extract) use rules_extractor::extract;

mod candidate;
mod rules_extractor;
mod sentence;
mod spot;
mod terms;
