mod chunk;
mod formats;
mod hostile;
mod html;
mod markdown;

use super::{ParseError, ParsedText, parse};

/// Parses a document that must be readable.
fn read(media_type: &str, source: &str) -> ParsedText {
    parse(media_type, "document", source.as_bytes()).expect("readable")
}

fn refuse(media_type: &str, name: &str, bytes: &[u8]) -> ParseError {
    parse(media_type, name, bytes).expect_err("refused")
}
