use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures::stream::unfold;
use tokio::sync::Mutex;

use super::body::{refuse_encoded, unsupported};
use super::disposition::{Disposition, Unreadable};
use super::incoming::Incoming;
use super::strict::shown;
use crate::documents::{Limits, RawDocument, UploadRoom, too_large};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The files of a multipart request, read no further than the limits allow.
pub struct Files {
    /// The files.
    pub files: Vec<RawDocument>,
    /// What they take of the memory for uploads, as long as this lives.
    pub room: Option<UploadRoom>,
}

impl FromRequest<ApiState> for Files {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        refuse_encoded(request.headers())?;
        let refusal = unsupported(request.headers(), "multipart/form-data with a boundary");
        let headers = request.headers().clone();
        let reading = Reading { incoming: Incoming::upload(request, app)?, refused: None };
        let reading = Arc::new(Mutex::new(reading));
        let mut readable = Request::new(body(Arc::clone(&reading)));
        *readable.headers_mut() = headers;
        // How large it may be, `Incoming` sees to.
        DefaultBodyLimit::disable().apply(&mut readable);
        let multipart = Multipart::from_request(readable, app).await.map_err(|_| refusal)?;
        let files = read_all(multipart, app.limits().document_bytes).await;
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
    Problem::new(
        Code::MalformedMultipart,
        format!("the body is not multipart/form-data: {}", error.body_text()),
    )
}
