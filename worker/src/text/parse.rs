//! One entry point for every supported format, and everything that can be wrong with a document.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::blocks::BlockWriter;
use super::media_type::{Format, format_of};
use super::{html, markdown, sanitise};

/// A Markdown parse keeps a node of about 100 bytes per markup character; this many is far beyond any real
/// document and still fits in memory.
const MARKUP_CHARS_MAX: usize = 4_000_000;

const TITLE_CHARS_MAX: usize = 300;

/// The text of a document, ready to be chunked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedText {
    /// The HTML `<title>`, else the first heading; at most 300 characters.
    pub title: Option<String>,
    /// The text, never empty, without leading or trailing white space.
    pub text: String,
}

/// Why a document cannot be read. Each is final: the same bytes fail again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// We have no reader for it.
    #[error(
        "documents of type '{media_type}' are not supported; send text/plain, text/markdown, text/html or \
         application/xhtml+xml"
    )]
    UnsupportedMediaType {
        /// As declared.
        media_type: String,
    },
    /// Another encoding, or no text at all.
    #[error(
        "the document is not UTF-8 text (byte {offset} is the first bad one); convert it to UTF-8 and \
         upload it again"
    )]
    NotUtf8 {
        /// Offset of the first offending byte.
        offset: usize,
    },
    /// Nothing but markup and white space.
    #[error("the document contains no text; upload a document with at least one word")]
    EmptyDocument,
    /// Reading it would take too much memory.
    #[error(
        "the document has more than {limit} markup characters; split it into smaller files, or send it \
         as text/plain"
    )]
    TooComplex {
        /// Markup characters we accept.
        limit: usize,
    },
    /// A bug in a parser.
    #[error("the document could not be parsed; send it as text/plain, or report it as a bug")]
    ParseFailed,
}

impl ParseError {
    /// A stable name for programs: `snake_case`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::EmptyDocument => "empty_document",
            Self::TooComplex { .. } => "too_complex",
            Self::ParseFailed => "parse_failed",
        }
    }
}

/// Reads a document. `name` decides the format when `media_type` is empty or `application/octet-stream`.
///
/// # Errors
/// See [`ParseError`]; a panic inside a parser becomes [`ParseError::ParseFailed`].
pub fn parse(media_type: &str, name: &str, bytes: &[u8]) -> Result<ParsedText, ParseError> {
    let format = format_of(media_type, name)
        .ok_or_else(|| ParseError::UnsupportedMediaType { media_type: media_type.to_owned() })?;
    let source = decode(bytes)?;
    if format == Format::Markdown {
        refuse_too_complex(source)?;
    }
    let parsed = contained(|| read(format, source))?;
    if parsed.text.is_empty() { Err(ParseError::EmptyDocument) } else { Ok(parsed) }
}

/// Turns a panic, which is a bug in a parser, into an error of the one document that shows it.
pub(super) fn contained<T>(read: impl FnOnce() -> T) -> Result<T, ParseError> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| ParseError::ParseFailed)
}

fn read(format: Format, source: &str) -> ParsedText {
    let mut blocks = BlockWriter::default();
    let title = match format {
        Format::Plain => return ParsedText { title: None, text: sanitise::sanitise_plain(source) },
        Format::Markdown => {
            markdown::write_blocks(source, &mut blocks);
            None
        }
        Format::Html => html::write_page(source, html::Syntax::Html, &mut blocks),
        Format::Xhtml => html::write_page(source, html::Syntax::Xhtml, &mut blocks),
    };
    let (text, first_heading) = blocks.finish();
    let title =
        title.or(first_heading).map(|title| sanitise::clean(&title).chars().take(TITLE_CHARS_MAX).collect());
    ParsedText { title, text: sanitise::clean(&text) }
}

/// UTF-8 with or without a byte order mark. NUL bytes mean UTF-16 or a binary file, whatever the media type
/// says.
fn decode(bytes: &[u8]) -> Result<&str, ParseError> {
    let text = str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8 { offset: error.valid_up_to() })?;
    if let Some(offset) = text.find('\0') {
        return Err(ParseError::NotUtf8 { offset });
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn refuse_too_complex(source: &str) -> Result<(), ParseError> {
    let is_markup =
        |byte: &u8| matches!(byte, b'<' | b'>' | b'[' | b']' | b'*' | b'_' | b'`' | b'\\' | b'|' | b'~');
    if source.bytes().filter(|byte| is_markup(byte)).count() > MARKUP_CHARS_MAX {
        return Err(ParseError::TooComplex { limit: MARKUP_CHARS_MAX });
    }
    Ok(())
}
