//! Files as `multipart/form-data` (RFC 7578). The name in `filename*` wins over `filename` (RFC 6266, 8187): what
//! stands beside it is a makeshift for clients that cannot read it, such as `__.txt` for every Chinese name.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures::stream::unfold;
use percent_encoding::percent_decode;
use tokio::sync::Mutex;

use super::body::{Incoming, refuse_encoded, unsupported};
use crate::config::RequestLimits;
use crate::documents::{RawDocument, UploadRoom, too_large};
use crate::problem::{Code, Problem, shown};
use crate::state::ApiState;

/// The files of a multipart request, read no further than the limits allow.
pub struct Files {
    /// The files.
    pub files: Vec<RawDocument>,
    /// Their memory reservation for uploads, held until this is dropped.
    pub room: Option<UploadRoom>,
}

impl FromRequest<ApiState> for Files {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        refuse_encoded(request.headers())?;
        let wrong_type = unsupported(request.headers(), "multipart/form-data with a boundary");
        let headers = request.headers().clone();
        let reading = Reading { incoming: Incoming::upload(request, app)?, refused: None };
        let reading = Arc::new(Mutex::new(reading));
        let mut readable = Request::new(body(Arc::clone(&reading)));
        *readable.headers_mut() = headers;
        // How large it may be, `Incoming` sees to.
        DefaultBodyLimit::disable().apply(&mut readable);
        let multipart = Multipart::from_request(readable, app).await.map_err(|_| wrong_type)?;
        let files = read_all(multipart, app.request_limits().document_bytes).await;
        let mut reading = reading.lock().await;
        // Multipart only knows that its body broke off.
        reading.refused.take().map_or(Ok(()), Err)?;
        Ok(Self { files: files?, room: reading.incoming.take_room() })
    }
}

/// A body that multipart reads, and what was wrong with it.
struct Reading {
    incoming: Incoming,
    refused: Option<Problem>,
}

fn body(reading: Arc<Mutex<Reading>>) -> Body {
    Body::from_stream(unfold(reading, async |reading: Arc<Mutex<Reading>>| {
        let mut now = reading.lock().await;
        let piece = match now.incoming.next().await {
            Ok(piece) => Ok(piece?),
            Err(problem) => {
                now.refused = Some(problem);
                Err(io::Error::other("refused"))
            }
        };
        drop(now);
        Some((piece, reading))
    }))
}

async fn read_all(mut multipart: Multipart, limit: usize) -> Result<Vec<RawDocument>, Problem> {
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| malformed(&error))? {
        let place = format!("file[{}]", files.len());
        let disposition = disposition(&field).map_err(|error| {
            Problem::new(Code::InvalidDocumentName, error.to_string()).field(format!("{place}.name"))
        })?;
        check_name(disposition.name.as_deref())?;
        // One more than allowed is enough to refuse them all.
        if files.len() > RequestLimits::DOCUMENTS {
            break;
        }
        let name = disposition.file_name.unwrap_or_default();
        files.push(read(field, place, name, limit).await?);
    }
    Ok(files)
}

fn disposition(field: &Field<'_>) -> Result<Disposition, Unreadable> {
    let header = field.headers().get(header::CONTENT_DISPOSITION);
    header.map(|value| Disposition::parse(value.as_bytes())).transpose().map(Option::unwrap_or_default)
}

fn check_name(name: Option<&str>) -> Result<(), Problem> {
    let wanted = "every part must be called `file`";
    match name {
        Some("file") => Ok(()),
        Some(other) if !other.is_empty() => {
            let other = shown(other);
            Err(Problem::new(Code::UnknownField, format!("{wanted}, not `{other}`")).field(other))
        }
        _ => Err(Problem::new(Code::UnknownField, format!("{wanted}: this one has no name"))),
    }
}

async fn read(
    mut field: Field<'_>,
    place: String,
    name: String,
    limit: usize,
) -> Result<RawDocument, Problem> {
    let declared = field.content_type().map(str::to_owned);
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|error| malformed(&error))? {
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit).field(place));
        }
        bytes.extend_from_slice(&piece);
    }
    let bytes: Bytes = bytes.freeze();
    Ok(RawDocument { place, name, declared, bytes, is_text: false })
}

fn malformed(error: &MultipartError) -> Problem {
    Problem::new(
        Code::MalformedMultipart,
        format!("the body is not multipart/form-data: {}", error.body_text()),
    )
}

/// The parameters of a part's `Content-Disposition` header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// The form's field.
    pub(super) name: Option<String>,
    /// The file's name.
    pub(super) file_name: Option<String>,
}

/// Why a file name cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Latin-1, usually.
    #[error("the file name `{0}` is not UTF-8: send filename in UTF-8, or filename*=UTF-8''B%C3%BCcher.txt")]
    NotUtf8(String),
    /// Neither UTF-8 nor Latin-1, or not percent-encoded.
    #[error("`{0}` cannot be read: send it like filename*=UTF-8''B%C3%BCcher.txt")]
    Extended(String),
    /// Which of two would count is a matter of the parser's taste.
    #[error("the part has `{0}` twice: send it once")]
    Twice(&'static str),
}

impl Disposition {
    /// Reads the header's value.
    pub(super) fn parse(header: &[u8]) -> Result<Self, Unreadable> {
        let (mut name, mut plain, mut extended) = (None, None, None);
        for (attribute, value) in parameters(header) {
            let (place, called) = match attribute.to_ascii_lowercase().as_slice() {
                b"name" => (&mut name, "name"),
                b"filename" => (&mut plain, "filename"),
                b"filename*" => (&mut extended, "filename*"),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Unreadable::Twice(called));
            }
        }
        let file_name =
            match (extended, plain) {
                (Some(value), _) => Some(extended_value(&value)?),
                (None, Some(value)) => Some(String::from_utf8(value).map_err(|error| {
                    Unreadable::NotUtf8(shown(&String::from_utf8_lossy(error.as_bytes())))
                })?),
                (None, None) => None,
            };
        Ok(Self { name: name.map(|name| String::from_utf8_lossy(&name).into_owned()), file_name })
    }
}

/// `charset'language'percent-encoded` (RFC 8187).
fn extended_value(value: &[u8]) -> Result<String, Unreadable> {
    let unreadable = || Unreadable::Extended(shown(&format!("filename*={}", String::from_utf8_lossy(value))));
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (Some(charset), Some(_language), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(unreadable());
    };
    let is_encoded =
        |at: usize| encoded.get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if encoded.iter().enumerate().any(|(at, byte)| *byte == b'%' && !is_encoded(at)) {
        return Err(unreadable());
    }
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    match charset.to_ascii_lowercase().as_slice() {
        b"utf-8" => String::from_utf8(bytes).map_err(|_| unreadable()),
        // Its bytes are the first 256 characters of Unicode.
        b"iso-8859-1" => Ok(bytes.into_iter().map(char::from).collect()),
        _ => Err(unreadable()),
    }
}

/// The parameters behind the disposition's type, their values without quotes.
fn parameters(header: &[u8]) -> Vec<(&[u8], Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = after(header, b';');
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let (attribute, behind) = (rest[..end].trim_ascii(), &rest[end..]);
        let Some(value) = behind.strip_prefix(b"=") else {
            rest = behind.get(1..).unwrap_or_default();
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, behind) = if let Some(quoted) = value.strip_prefix(b"\"") {
            unquoted(quoted)
        } else {
            let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
            (value[..end].trim_ascii().to_vec(), &value[end..])
        };
        found.push((attribute, value));
        rest = after(behind, b';');
    }
    found
}

fn after(bytes: &[u8], mark: u8) -> &[u8] {
    let at = bytes.iter().position(|byte| *byte == mark);
    at.map_or(&[], |at| &bytes[at + 1..])
}

/// Splits at the closing quote. Only quotes and backslashes are unescaped: browsers send the backslashes of a Windows
/// path as they are.
fn unquoted(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut value, mut rest) = (Vec::with_capacity(quoted.len()), quoted);
    loop {
        match rest {
            [] => return (value, rest),
            [b'"', behind @ ..] => return (value, behind),
            [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                value.push(*escaped);
                rest = behind;
            }
            [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_name(tail: &[u8]) -> Result<Option<String>, Unreadable> {
        let header = [b"form-data; name=\"file\"", tail].concat();
        let read = Disposition::parse(&header)?;
        assert_eq!(read.name.as_deref(), Some("file"));
        Ok(read.file_name)
    }

    #[test]
    fn the_extended_name_wins_wherever_it_stands() {
        for tail in [
            "; filename*=UTF-8''B%C3%BCcher%20a.md",
            "; filename=\"__.md\"; filename*=utf-8''B%C3%BCcher%20a.md",
            "; filename*=utf-8'de'B%C3%BCcher%20a.md; filename=\"__.md\"",
            "; FileName*=UTF-8''B%c3%bccher%20a.md",
            "; filename*=\"UTF-8''B%C3%BCcher%20a.md\"",
            "; filename*=iso-8859-1''B%FCcher%20a.md",
            "; filename=\"=?utf-8?B?QsO8Y2hlci5tZA==?=\"; filename*=utf-8''B%C3%BCcher%20a.md",
            "; filename=\"Bücher a.md\"",
            "; filename = \"Bücher a.md\" ; size=3",
        ] {
            assert_eq!(file_name(tail.as_bytes()).unwrap().as_deref(), Some("Bücher a.md"), "{tail}");
        }
        for (tail, expected) in [
            ("; filename=a.md", "a.md"),
            ("; filename=\"a \\\"b\\\".md\"", "a \"b\".md"),
            ("; filename=\"C:\\docs\\a.md\"", "C:\\docs\\a.md"),
            ("; filename=\"a; filename*=UTF-8''b.md\"", "a; filename*=UTF-8''b.md"),
            ("; x=\"; filename=b.md\"; filename=a.md", "a.md"),
            ("; filename=\"\"", ""),
            ("; filename=\"a.md", "a.md"),
        ] {
            assert_eq!(file_name(tail.as_bytes()).unwrap().as_deref(), Some(expected), "{tail}");
        }
        assert_eq!(file_name(b"").unwrap(), None);
        assert_eq!(file_name(b"; ; x; =; filename").unwrap(), None);
    }

    #[test]
    fn a_name_that_cannot_be_read_is_not_guessed() {
        assert_eq!(
            file_name(b"; filename=\"B\xfccher.txt\""),
            Err(Unreadable::NotUtf8("B\u{fffd}cher.txt".to_owned()))
        );
        for bad in ["utf-8''%C3", "UTF-8''%", "UTF-8''%zz", "koi8-r''a", "a.md", "utf-8'a.md"] {
            let tail = format!("; filename=\"a.md\"; filename*={bad}");
            assert!(matches!(file_name(tail.as_bytes()), Err(Unreadable::Extended(_))), "{bad}");
        }
        assert_eq!(file_name(b"; filename=a; filename=b"), Err(Unreadable::Twice("filename")));
        assert!(Disposition::parse(b"form-data; name=a; name=b").is_err());
    }
}
