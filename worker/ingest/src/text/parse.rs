//! Entry point for all supported formats, and every way in which a document can be unreadable.
//!
//! Decides by media type or file name which documents can be read.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use worker::compute::{Stopped, Turn};

use super::blocks::{BlockWriter, clean, sanitise_document};
use super::{html, markdown};

/// More than one NUL byte in this many bytes means UTF-16 or a binary file; fewer are accidents in a text.
const NULS: usize = 20;

const TITLE_CHARS_MAX: usize = 300;

/// The text of a document, ready to be chunked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedText {
    /// The HTML `<title>`, else the first heading; at most 300 characters.
    pub title: Option<String>,
    /// The text, never empty, without leading or trailing white space.
    pub text: String,
}

/// Why a document cannot be read. Every error is final: the same bytes fail again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// The format is not supported.
    #[error(
        "documents of type '{media_type}' are not supported; send text/plain, text/markdown, text/html or \
         application/xhtml+xml"
    )]
    UnsupportedMediaType {
        /// The declared media type.
        media_type: String,
    },
    /// Not UTF-8.
    #[error(
        "the document is not UTF-8 text (byte {offset} is the first bad one); convert it to UTF-8 and \
         upload it again"
    )]
    NotUtf8 {
        /// Offset of the first offending byte.
        offset: usize,
    },
    /// Too many NUL bytes: a binary file, or UTF-16 with ASCII characters only.
    #[error(
        "the document has {count} NUL bytes, the first at byte {offset}: it is UTF-16 or no text at all; convert \
         it to UTF-8 and upload it again"
    )]
    NulBytes {
        /// Number of NUL bytes.
        count: usize,
        /// Offset of the first one.
        offset: usize,
    },
    /// Nothing but markup and white space.
    #[error("the document contains no text; upload a document with at least one word")]
    EmptyDocument,
    /// The job was cancelled, or reading takes too long.
    #[error("reading the document: {0}")]
    Stopped(#[from] Stopped),
    /// A bug in a parser.
    #[error("the document could not be parsed; send it as text/plain, or report it as a bug")]
    ParseFailed,
}

impl ParseError {
    /// A stable code for programs: `snake_case`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::NotUtf8 { .. } | Self::NulBytes { .. } => "not_utf8",
            Self::EmptyDocument => "empty_document",
            Self::Stopped(Stopped::TooLong(_)) => "too_complex",
            Self::Stopped(Stopped::Cancelled) => "interrupted",
            Self::Stopped(Stopped::Panicked) | Self::ParseFailed => "parse_failed",
        }
    }
}

/// Reads a document. `name` decides the format when `media_type` is empty or `application/octet-stream`. CPU-bound.
///
/// # Errors
/// See [`ParseError`]; a panic inside a parser becomes [`ParseError::ParseFailed`].
pub fn parse(media_type: &str, name: &str, bytes: &[u8], turn: &Turn) -> Result<ParsedText, ParseError> {
    let format = format_of(media_type, name)
        .ok_or_else(|| ParseError::UnsupportedMediaType { media_type: media_type.to_owned() })?;
    let source = decode(bytes)?;
    let parsed = contained(|| read(format, &source, turn))??;
    if parsed.text.is_empty() { Err(ParseError::EmptyDocument) } else { Ok(parsed) }
}

/// Turns a panic, which is a bug in a parser, into an error of the document that triggers it.
pub(super) fn contained<T>(read: impl FnOnce() -> T) -> Result<T, ParseError> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| ParseError::ParseFailed)
}

fn read(format: Format, source: &str, turn: &Turn) -> Result<ParsedText, Stopped> {
    let mut blocks = BlockWriter::new(turn);
    let title = match format {
        Format::Plain => {
            return Ok(ParsedText { title: None, text: sanitise_document(source, turn)? });
        }
        Format::Markdown => {
            markdown::write_blocks(source, &mut blocks)?;
            None
        }
        Format::Html => html::write_page(source, html::Syntax::Html, &mut blocks)?,
        Format::Xhtml => html::write_page(source, html::Syntax::Xhtml, &mut blocks)?,
    };
    let (text, first_heading) = blocks.finish();
    let title = title.or(first_heading).map(|title| {
        let start: String = title.chars().take(2 * TITLE_CHARS_MAX).collect();
        clean(start, turn).map(|title| title.chars().take(TITLE_CHARS_MAX).collect())
    });
    Ok(ParsedText { title: title.transpose()?, text: clean(text, turn)? })
}

/// Decodes UTF-8 with or without a byte order mark. A few NUL bytes are dropped like other control characters,
/// because a parser would turn them into replacement characters.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, ParseError> {
    let text = str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8 { offset: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(offset) = text.find('\0') else { return Ok(Cow::Borrowed(text)) };
    let count = text.bytes().filter(|&byte| byte == 0).count();
    if count > 1 && count > text.len() / NULS {
        return Err(ParseError::NulBytes { count, offset });
    }
    Ok(Cow::Owned(text.replace('\0', "")))
}

/// The supported formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Plain,
    Markdown,
    Html,
    Xhtml,
}

const EXTENSIONS: [(&str, &str); 12] = [
    ("adoc", "text/plain"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mdown", "text/markdown"),
    ("mkd", "text/markdown"),
    ("rst", "text/plain"),
    ("text", "text/plain"),
    ("txt", "text/plain"),
    ("xhtml", "application/xhtml+xml"),
];

/// The media type for a file name; `None` when such files are not supported.
#[must_use]
pub fn media_type_of(name: &str) -> Option<&'static str> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (stem, extension) = file.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let known = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(extension);
    EXTENSIONS.iter().find(known).map(|(_, media_type)| *media_type)
}

/// Whether [`parse`](crate::text::parse()) supports such a document.
#[must_use]
pub fn is_supported(media_type: &str, name: &str) -> bool {
    format_of(media_type, name).is_some()
}

/// The declared media type wins; a missing or generic one is replaced by that of the file name.
pub(super) fn format_of(media_type: &str, name: &str) -> Option<Format> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/plain" | "text/x-rst" | "text/prs.fallenstein.rst" => Some(Format::Plain),
        "text/markdown" | "text/x-markdown" => Some(Format::Markdown),
        "text/html" => Some(Format::Html),
        "application/xhtml+xml" => Some(Format::Xhtml),
        "" | "application/octet-stream" => format_of(media_type_of(name)?, ""),
        _ => None,
    }
}
