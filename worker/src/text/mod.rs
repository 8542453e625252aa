//! From the bytes of an uploaded file to chunks of text.
//!
//! [`parse()`] turns plain text, Markdown and HTML into one flat text: headings keep their `#`, list items
//! their `-`, table rows become `a | b`, and code is indented by four spaces. [`Chunker`] cuts that text into
//! windows of tokens exactly as LightRAG does, so that both index a document alike.
//!
//! Both are plain CPU work on hostile input: time and memory grow linearly with the input, and nothing
//! recurses. Call them from `spawn_blocking`; a 20 MiB document takes seconds.

mod blocks;
mod chunk;
mod html;
mod markdown;
mod media_type;
mod parse;
mod sanitise;
mod tokens;

#[cfg(test)]
mod tests;

pub use chunk::{ChunkSize, ChunkSizeError, Chunker, TextChunk};
pub use media_type::{is_supported, media_type_of};
pub use parse::{ParseError, ParsedText, parse};
pub(crate) use sanitise::sanitise_plain;
