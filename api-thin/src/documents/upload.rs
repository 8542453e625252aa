use std::collections::HashSet;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::limits::Limits;
use super::media::{UnsupportedMedia, media_type};
use super::name::{DocumentName, InvalidName};
use crate::problem::{Code, Problem};

/// A text has NUL bytes by accident, UTF-16 and binary files by nature: one in this many. The worker's `text` module
/// has
/// the same number.
const NULS: usize = 20;

/// A document as the caller sent it.
#[derive(Debug)]
pub struct RawDocument {
    /// Where it stands in the request, for refusals: `documents[3]`.
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

/// Checks all documents of a request. One that is refused refuses them all.
///
/// # Errors
/// The first thing that is wrong, with its place in the request.
pub async fn check_uploads(raw: Vec<RawDocument>, limits: &Limits) -> Result<Vec<Upload>, Problem> {
    let limit = limits.document_bytes;
    // Digests of many megabytes would stall the other requests of this thread.
    let checked = tokio::task::spawn_blocking(move || check_all(raw, limit)).await;
    checked.unwrap_or_else(|panicked| Err(Problem::internal(&panicked)))
}

fn check_all(raw: Vec<RawDocument>, limit: usize) -> Result<Vec<Upload>, Problem> {
    if raw.is_empty() {
        return Err(Problem::new(Code::NoDocuments, "send at least one document"));
    }
    if raw.len() > Limits::DOCUMENTS {
        let detail = format!("send at most {} documents at once", Limits::DOCUMENTS);
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

fn invalid_name(error: InvalidName) -> Problem {
    Problem::new(Code::InvalidDocumentName, error.to_string())
}

fn unsupported(error: &UnsupportedMedia) -> Problem {
    Problem::new(Code::UnsupportedMediaType, error.to_string())
}

/// The refusal of a document of more than `limit` bytes.
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
}
