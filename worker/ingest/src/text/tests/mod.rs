use worker::compute::Turn;

use super::{ParseError, ParsedText};

mod chunk;
mod formats;
mod hostile;
mod html;
mod markdown;
mod memory;
mod segments;

fn parse(media_type: &str, name: &str, bytes: &[u8]) -> Result<ParsedText, ParseError> {
    crate::text::parse(media_type, name, bytes, &Turn::unlimited())
}

/// Parses a document that must be readable.
fn read(media_type: &str, source: &str) -> ParsedText {
    parse(media_type, "document", source.as_bytes()).expect("readable")
}

fn refuse(media_type: &str, name: &str, bytes: &[u8]) -> ParseError {
    parse(media_type, name, bytes).expect_err("refused")
}
