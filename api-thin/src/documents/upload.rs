//! Checks documents before anything is stored: name, media type, size, text.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jobs::DocumentId;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use crate::config::RequestLimits;
use crate::problem::{Code, Problem, shown};

/// A text has NUL bytes by accident, UTF-16 and binary files by nature: one in this many. The worker's `text` module
/// has
/// the same number.
const NULS: usize = 20;

/// A document as the caller sent it.
#[derive(Debug)]
pub struct RawDocument {
    /// Its path in the request, for error messages: `documents[3]`.
    pub place: String,
    /// Its name, unchecked.
    pub name: String,
    /// The media type that the caller declared.
    pub declared: Option<String>,
    /// Its content, unchecked.
    pub bytes: Bytes,
    /// Whether the content came as text, so that an unknown extension says nothing.
    pub is_text: bool,
}

/// A document that may be stored.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its name.
    pub name: DocumentName,
    /// Its media type, one of [`super::MEDIA_TYPES`].
    pub media_type: &'static str,
    /// Its content: UTF-8 text.
    pub bytes: Bytes,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
}

/// Checks all documents of a request. If one is refused, none is accepted.
///
/// # Errors
/// The first problem, with its path in the request.
pub async fn check_uploads(raw: Vec<RawDocument>, limits: &RequestLimits) -> Result<Vec<Upload>, Problem> {
    let limit = limits.document_bytes;
    // Digests of many megabytes would stall the other requests of this thread.
    let checked = tokio::task::spawn_blocking(move || check_all(raw, limit)).await;
    checked.unwrap_or_else(|panicked| Err(Problem::internal(&panicked)))
}

fn check_all(raw: Vec<RawDocument>, limit: usize) -> Result<Vec<Upload>, Problem> {
    if raw.is_empty() {
        return Err(Problem::new(Code::NoDocuments, "send at least one document"));
    }
    if raw.len() > RequestLimits::DOCUMENTS {
        let detail = format!("send at most {} documents at once", RequestLimits::DOCUMENTS);
        return Err(Problem::new(Code::TooManyDocuments, detail));
    }
    let mut names = HashSet::new();
    let mut uploads = Vec::with_capacity(raw.len());
    for document in raw {
        let place = document.place.clone();
        let upload = check(document, limit)?;
        if !names.insert(upload.name.clone()) {
            let detail = format!("a document called {:?} comes twice", upload.name.as_str());
            return Err(Problem::new(Code::DuplicateDocument, detail).field(format!("{place}.name")));
        }
        uploads.push(upload);
    }
    Ok(uploads)
}

fn check(raw: RawDocument, limit: usize) -> Result<Upload, Problem> {
    let at = |part: &str| format!("{}{part}", raw.place);
    let name: DocumentName = raw.name.parse().map_err(|error| invalid_name(error).field(at(".name")))?;
    let media_type = media_of(&raw, &name).map_err(|error| unsupported(&error).field(at(".media_type")))?;
    if raw.bytes.len() > limit {
        return Err(too_large(limit).field(raw.place));
    }
    let text =
        std::str::from_utf8(&raw.bytes).map_err(|error| not_utf8(error.valid_up_to()).field(at("")))?;
    refuse_nuls(text).map_err(|problem| problem.field(raw.place.clone()))?;
    if text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty() {
        return Err(Problem::new(Code::EmptyDocument, "the document has no text").field(raw.place));
    }
    let sha256 = hex::encode(Sha256::digest(&raw.bytes));
    Ok(Upload { name, media_type, bytes: raw.bytes, sha256 })
}

fn media_of(raw: &RawDocument, name: &DocumentName) -> Result<&'static str, UnsupportedMedia> {
    let found = media_type(raw.declared.as_deref(), name.as_str());
    if raw.is_text && raw.declared.is_none() { Ok(found.unwrap_or("text/plain")) } else { found }
}

/// A name for a text that came without one: its first words and a digest, so that the same text is the same document.
pub fn name_of_text(text: &str, media_type: Option<&str>) -> String {
    let mut words = String::new();
    let line = text.lines().find(|line| line.chars().any(char::is_alphanumeric)).unwrap_or_default();
    for word in line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if words.chars().count() + word.chars().count() > NAME_WORDS {
            break;
        }
        words.extend(word.chars().flat_map(char::to_lowercase));
        words.push('-');
    }
    if words.is_empty() {
        words.push_str("text-");
    }
    let digest = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
    let extension = match media_type.map(|declared| declared.split(';').next().unwrap_or_default().trim()) {
        Some("text/markdown") => "md",
        Some("text/html") => "html",
        _ => "txt",
    };
    format!("{words}{digest}.{extension}")
}

/// How many characters of a text's first words get into its name.
const NAME_WORDS: usize = 40;

fn invalid_name(error: InvalidName) -> Problem {
    Problem::new(Code::InvalidDocumentName, error.to_string())
}

fn unsupported(error: &UnsupportedMedia) -> Problem {
    Problem::new(Code::UnsupportedMediaType, error.to_string())
}

/// Returned for a document of more than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(Code::DocumentTooLarge, format!("the document has more than {limit} bytes"))
}

/// UTF-16 of ASCII characters is UTF-8 as well, with a NUL byte in each. A stray one is left out when the document is
/// read.
fn refuse_nuls(text: &str) -> Result<(), Problem> {
    let Some(first) = text.find('\0') else { return Ok(()) };
    let count = text.bytes().filter(|&byte| byte == 0).count();
    if count == 1 || count <= text.len() / NULS {
        return Ok(());
    }
    let detail = format!(
        "the document has {count} NUL bytes, the first at byte {first}: it is UTF-16 or no text at all; convert it to UTF-8"
    );
    Err(Problem::new(Code::NotUtf8, detail))
}

fn not_utf8(first_bad: usize) -> Problem {
    let detail = format!("byte {first_bad} is not UTF-8: convert the document to UTF-8");
    Problem::new(Code::NotUtf8, detail)
}

/// The name of a document: a relative path with forward slashes, in Unicode normalisation form C, so that the
/// same name typed on two machines is the same document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentName(String);

/// Why a text is not the name of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing.
    #[error("a document needs a name, such as guide.md or manuals/guide.md")]
    Empty,
    /// More than [`DocumentName::MAX_BYTES`].
    #[error("the name has more than {} bytes", DocumentName::MAX_BYTES)]
    TooLong,
    /// Line ends, NUL, or characters that make a name look like another one.
    #[error("the name has control characters")]
    Control,
    /// `/etc/passwd`, `C:/x`.
    #[error("the name is an absolute path: leave out what stands before the folder you upload")]
    Absolute,
    /// `a\b`.
    #[error("the name has backslashes: write folders with forward slashes")]
    Backslash,
    /// `..`, `.`, `a//b`, `a/`.
    #[error("the name has a part that is empty, `.` or `..`")]
    Part,
    /// Starts or ends with white space.
    #[error("a part of the name starts or ends with white space")]
    Space,
    /// The graph joins names with it.
    #[error("the name contains `<SEP>`, which separates names in the graph")]
    Separator,
}

impl DocumentName {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 512;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the document with this name.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        DocumentId::of_name(&self.0)
    }
}

impl FromStr for DocumentName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // Checked before it is normalised too, because normalising a long name is expensive.
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        let name: String = text.nfc().collect();
        check_name(&name).map(|()| Self(name))
    }
}

fn check_name(name: &str) -> Result<(), InvalidName> {
    let is_drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    let parts = || name.split('/');
    match () {
        () if name.is_empty() => Err(InvalidName::Empty),
        () if name.len() > DocumentName::MAX_BYTES => Err(InvalidName::TooLong),
        () if name.chars().any(is_invisible) => Err(InvalidName::Control),
        () if name.contains('\\') => Err(InvalidName::Backslash),
        () if name.starts_with('/') || is_drive => Err(InvalidName::Absolute),
        () if parts().any(|part| matches!(part, "" | "." | "..")) => Err(InvalidName::Part),
        () if parts().any(|part| part.trim() != part) => Err(InvalidName::Space),
        () if name.contains("<SEP>") => Err(InvalidName::Separator),
        () => Ok(()),
    }
}

/// Control characters, line separators, and the marks that turn the direction of text around.
fn is_invisible(c: char) -> bool {
    let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The media types of documents that can be read, and the file name extensions that stand for each.
pub const MEDIA_TYPES: [(&str, &[&str]); 4] = [
    ("text/plain", &["txt", "text", "log", "rst", "adoc"]),
    ("text/markdown", &["md", "markdown", "mdown", "mkd"]),
    ("text/html", &["html", "htm"]),
    ("application/xhtml+xml", &["xhtml"]),
];

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedMedia {
    /// The declared type is not one of [`MEDIA_TYPES`]. Whether the name says a type that is.
    #[error(
        "documents of type `{declared}` cannot be read: {} text/plain, text/markdown, text/html or \
         application/xhtml+xml",
        if *.by_name { "leave the type out and the name decides, or declare" } else { "convert it to" }
    )]
    Declared {
        /// As declared.
        declared: String,
        /// Whether the name's extension stands for a type that can be read.
        by_name: bool,
    },
    /// No type is declared, and the name's extension says none.
    #[error(
        "the name `{0}` does not say what the document is: let it end in .txt, .md or .html, or declare \
         text/plain, text/markdown, text/html or application/xhtml+xml"
    )]
    Name(String),
    /// The declared encoding is not UTF-8.
    #[error("the declared charset `{0}` is not UTF-8: convert the document to UTF-8")]
    Charset(String),
}

/// The media type of a document: the declared one if it says anything, else what the name's extension stands
/// for.
///
/// # Errors
/// When documents of that type cannot be read.
pub fn media_type(declared: Option<&str>, name: &str) -> Result<&'static str, UnsupportedMedia> {
    let declared = declared.unwrap_or_default();
    let (essence, parameters) = declared.split_once(';').unwrap_or((declared, ""));
    if let Some(charset) = charset(parameters).filter(|charset| !is_utf8(charset)) {
        return Err(UnsupportedMedia::Charset(shown(&charset)));
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        // Programs that know no better declare these; the name says more.
        "" | "application/octet-stream" => {
            by_extension(name).ok_or_else(|| UnsupportedMedia::Name(shown(name)))
        }
        "text/plain" => Ok(by_extension(name).unwrap_or("text/plain")),
        "text/x-markdown" => Ok("text/markdown"),
        other => {
            MEDIA_TYPES.into_iter().map(|(known, _)| known).find(|known| *known == other).ok_or_else(|| {
                UnsupportedMedia::Declared { declared: shown(other), by_name: by_extension(name).is_some() }
            })
        }
    }
}

fn by_extension(name: &str) -> Option<&'static str> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let (stem, extension) = file.rsplit_once('.')?;
    let known = |extensions: &[&str]| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
    let found = MEDIA_TYPES.into_iter().find(|(_, extensions)| !stem.is_empty() && known(extensions));
    found.map(|(media_type, _)| media_type)
}

fn charset(parameters: &str) -> Option<String> {
    let mut each = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let found = each.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    found.map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
}

/// US-ASCII is a part of UTF-8.
fn is_utf8(charset: &str) -> bool {
    matches!(charset, "utf-8" | "utf8" | "us-ascii")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(name: &str, bytes: &'static [u8]) -> RawDocument {
        let bytes = Bytes::from_static(bytes);
        RawDocument { place: "file[0]".into(), name: name.into(), declared: None, bytes, is_text: false }
    }

    fn code(documents: Vec<RawDocument>) -> Code {
        check_all(documents, 10).expect_err("it was accepted").code()
    }

    #[test]
    fn each_fault_has_its_code() {
        assert_eq!(code(vec![]), Code::NoDocuments);
        assert_eq!(code((0..101).map(|_| raw("a.md", b"a")).collect()), Code::TooManyDocuments);
        assert_eq!(code(vec![raw("../a.md", b"a")]), Code::InvalidDocumentName);
        assert_eq!(code(vec![raw("a.exe", b"a")]), Code::UnsupportedMediaType);
        assert_eq!(code(vec![raw("a.md", b"12345678901")]), Code::DocumentTooLarge);
        assert_eq!(code(vec![raw("a.md", b"caf\xe9")]), Code::NotUtf8);
        assert_eq!(code(vec![raw("a.md", b"a\0b\0c\0")]), Code::NotUtf8);
        assert!(check_all(vec![raw("a.md", b"Page 2\0")], 10).is_ok());
        assert_eq!(code(vec![raw("a.md", b"")]), Code::EmptyDocument);
        assert_eq!(code(vec![raw("a.md", b"\xef\xbb\xbf \n\t")]), Code::EmptyDocument);
        assert_eq!(
            code(vec![raw("a.md", b"a"), raw("b.md", b"b"), raw("a.md", b"c")]),
            Code::DuplicateDocument
        );
    }

    #[test]
    fn a_good_document_is_measured() {
        let upload = check_all(vec![raw("a.md", b"1234567890")], 10).unwrap().remove(0);
        assert_eq!(upload.media_type, "text/markdown");
        assert_eq!(upload.sha256, "c775e7b757ede630cd0aa1113bd102661ab38829ca52a6422ab782862f268646");
    }

    #[test]
    fn text_needs_no_extension() {
        let text = RawDocument { is_text: true, ..raw("minutes of the meeting", b"hello") };
        assert_eq!(check_all(vec![text], 10).unwrap()[0].media_type, "text/plain");
    }

    fn refusal(text: &str) -> InvalidName {
        text.parse::<DocumentName>().expect_err(text)
    }

    #[test]
    fn ordinary_names_are_kept() {
        for good in
            ["a", "guide.md", "manuals/2024/guide v2.md", "Bücher/日本語.txt", "..a/b..", "a..b", ".env.md"]
        {
            assert_eq!(good.parse::<DocumentName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn path_tricks_are_refused() {
        for up in ["..", "../x.md", "a/../../x.md", "a/..", "a/./b", ".", "a//b", "a/", "./a.md"] {
            assert_eq!(refusal(up), InvalidName::Part, "{up}");
        }
        for absolute in ["/etc/passwd", "//host/share", "C:/x.md", "c:x.md"] {
            assert_eq!(refusal(absolute), InvalidName::Absolute, "{absolute}");
        }
        for windows in ["..\\..\\x.md", "C:\\x.md", "a\\b"] {
            assert_eq!(refusal(windows), InvalidName::Backslash, "{windows}");
        }
    }

    #[test]
    fn names_that_lie_or_break_lines_are_refused() {
        for bad in ["a\nb.md", "a\0.md", "\u{202e}dm.a", "a\u{2028}b", "\u{feff}a.md", "a\r.md", "a\u{85}b"] {
            assert_eq!(refusal(bad), InvalidName::Control, "{bad:?}");
        }
        assert_eq!(refusal(""), InvalidName::Empty);
        assert_eq!(refusal(" a.md"), InvalidName::Space);
        assert_eq!(refusal("a /b.md"), InvalidName::Space);
        assert_eq!(refusal("a<SEP>b.md"), InvalidName::Separator);
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!("a".repeat(512).parse::<DocumentName>().is_ok());
        assert_eq!(refusal(&"a".repeat(513)), InvalidName::TooLong);
        assert_eq!(refusal(&"é".repeat(257)), InvalidName::TooLong);
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_document() {
        let composed: DocumentName = "caf\u{e9}.md".parse().unwrap();
        let decomposed: DocumentName = "cafe\u{301}.md".parse().unwrap();
        assert_eq!(composed.document_id(), decomposed.document_id());
    }

    #[test]
    fn a_declared_type_wins_unless_it_says_nothing() {
        for (declared, name, expected) in [
            (Some("text/html; charset=UTF-8"), "page", "text/html"),
            (Some("TEXT/X-MARKDOWN"), "a", "text/markdown"),
            (Some("text/plain"), "notes.md", "text/markdown"),
            (Some("text/plain"), "notes", "text/plain"),
            (Some("application/octet-stream"), "dir.d/A.HTM", "text/html"),
            (None, "a.b.txt", "text/plain"),
            (Some(""), "x.xhtml", "application/xhtml+xml"),
        ] {
            assert_eq!(media_type(declared, name), Ok(expected), "{declared:?} {name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (declared, name) in [
            (Some("application/pdf"), "a.txt"),
            (Some("image/png"), "a.md"),
            (None, "a.pdf"),
            (None, "README"),
            (None, ".md"),
            (None, "md"),
            (Some("application/octet-stream"), "dir.md/file"),
        ] {
            let refused = media_type(declared, name).unwrap_err().to_string();
            let sent = declared.filter(|sent| *sent != "application/octet-stream").unwrap_or(name);
            assert!(refused.contains(&format!("`{sent}`")), "{refused}");
        }
        let refused = media_type(Some("application/x-notes"), "x.md").unwrap_err().to_string();
        assert!(refused.contains("leave the type out and the name decides"), "{refused}");
        let refused = media_type(Some("text/plain;charset=latin1"), "a.txt").unwrap_err();
        assert_eq!(refused, UnsupportedMedia::Charset("latin1".to_owned()));
    }
}
