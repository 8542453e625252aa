//! From the bytes of an uploaded file to chunks of text.
//!
//! [`parse()`] turns plain text, Markdown and HTML into one flat text: headings keep their `#`, list items
//! their `-`, table rows become `a | b`, and code is indented by four spaces. [`Chunker`] cuts that text into
//! windows of tokens exactly as LightRAG does, so that both index a document alike.
//!
//! Both are CPU-bound and take hostile input: time and memory grow linearly with it, and nothing recurses. Besides
//! its result a document needs a few copies of itself and 30 MiB at most, whatever is in it. Call them with the
//! [`worker::compute::Turn`] that [`worker::compute`] gives; a 20 MiB document takes seconds.

pub(crate) use blocks::sanitise_plain;
pub use chunk::{ChunkSize, ChunkSizeError, Chunker, TextChunk};
pub use parse::{ParseError, ParsedText, is_supported, media_type_of, parse};

mod blocks;
mod chunk;
mod html;
mod markdown;
mod parse;
mod segments;

#[cfg(test)]
mod tests;
