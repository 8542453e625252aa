use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};

use crate::documents::{Limits, RawDocument, too_large};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The files of a multipart request, read no further than the limits allow.
pub struct Files(pub Vec<RawDocument>);

impl FromRequest<ApiState> for Files {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let multipart = Multipart::from_request(request, app).await.map_err(|_| {
            Problem::new(
                Code::UnsupportedContentType,
                "send Content-Type: multipart/form-data with a boundary",
            )
        })?;
        read_all(multipart, app.limits().document_bytes).await.map(Self)
    }
}

async fn read_all(mut multipart: Multipart, limit: usize) -> Result<Vec<RawDocument>, Problem> {
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| refusal(&error))? {
        let place = format!("file[{}]", files.len());
        if field.name() != Some("file") {
            let name = field.name().unwrap_or_default().to_owned();
            return Err(Problem::new(Code::UnknownField, "every part must be called `file`").field(name));
        }
        // One more than allowed is enough for the refusal.
        if files.len() > Limits::DOCUMENTS {
            break;
        }
        files.push(read(field, place, limit).await?);
    }
    Ok(files)
}

async fn read(mut field: Field<'_>, place: String, limit: usize) -> Result<RawDocument, Problem> {
    let name =
        field.file_name().map(str::to_owned).or_else(|| extended_name(field.headers())).unwrap_or_default();
    let declared = field.content_type().map(str::to_owned);
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|error| refusal(&error))? {
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit).field(place));
        }
        bytes.extend_from_slice(&piece);
    }
    let bytes: Bytes = bytes.freeze();
    Ok(RawDocument { place, name, declared, bytes, is_text: false })
}

fn refusal(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(
            Code::RequestTooLarge,
            "the files of one request are too large together: send fewer at once",
        )
    } else {
        Problem::new(Code::MalformedMultipart, error.body_text())
    }
}

/// `filename*=UTF-8''…` (RFC 5987), which some clients send alone for names that are not ASCII.
fn extended_name(headers: &HeaderMap) -> Option<String> {
    let disposition = headers.get(header::CONTENT_DISPOSITION)?.to_str().ok()?;
    let value = disposition.split(';').map(str::trim).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("filename*").then_some(value.trim())
    })?;
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if charset.eq_ignore_ascii_case("utf-8") { percent_decoded(encoded) } else { None }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, length) = match first {
            b'%' => (hex::decode(tail.get(..2)?).ok()?[0], 2),
            other => (*other, 0),
        };
        bytes.push(byte);
        rest = &tail[length..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, disposition.parse().unwrap());
        extended_name(&headers)
    }

    #[test]
    fn extended_names_are_decoded() {
        let good = "form-data; name=\"file\"; filename*=UTF-8''B%C3%BCcher%20a.md";
        assert_eq!(name(good).as_deref(), Some("Bücher a.md"));
        for bad in ["form-data", "x; filename*=UTF-8''%C3", "x; filename*=UTF-8''%", "x; filename*=latin1''a"]
        {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
