use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};

use super::body::{refuse_encoded, unsupported};
use super::disposition::{Disposition, Unreadable};
use super::strict::shown;
use crate::documents::{Limits, RawDocument, too_large};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The files of a multipart request, read no further than the limits allow.
pub struct Files(pub Vec<RawDocument>);

impl FromRequest<ApiState> for Files {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        refuse_encoded(request.headers())?;
        let refusal = unsupported(request.headers(), "multipart/form-data with a boundary");
        let multipart = Multipart::from_request(request, app).await.map_err(|_| refusal)?;
        read_all(multipart, app.limits().document_bytes).await.map(Self)
    }
}

async fn read_all(mut multipart: Multipart, limit: usize) -> Result<Vec<RawDocument>, Problem> {
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| refusal(&error))? {
        let place = format!("file[{}]", files.len());
        let disposition = disposition(&field).map_err(|error| {
            Problem::new(Code::InvalidDocumentName, error.to_string()).field(format!("{place}.name"))
        })?;
        check_name(disposition.name.as_deref())?;
        // One more than allowed is enough for the refusal.
        if files.len() > Limits::DOCUMENTS {
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
        Problem::new(
            Code::MalformedMultipart,
            format!("the body is not multipart/form-data: {}", error.body_text()),
        )
    }
}
