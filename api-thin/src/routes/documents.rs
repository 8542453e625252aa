use axum::Json as Answering;
use axum::extract::{Path, State};
use bytes::Bytes;
use jobs::DocumentId;
use schemars::JsonSchema;
use serde::Deserialize;
use stores::model::DocumentStatus;

use super::document_view::{DocumentPage, DocumentView};
use super::page::{page_after, page_limit, parameter};
use crate::accept::{AcceptedDocuments, Answer, DocumentJob, accept_document_delete, accept_documents};
use crate::documents::{RawDocument, check_uploads};
use crate::extract::{
    CreateDocuments, DeleteDocuments, Files, IdempotencyKey, KbCaller, Query, ReadDocuments, UploadJson,
};
use crate::problem::Problem;
use crate::server::ApiState;

/// `POST …/documents`: files as multipart.
pub(super) async fn upload_files(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    Files { files, room: _room }: Files,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let uploads = check_uploads(files, app.limits()).await?;
    accept_documents(&app, &who, &key, &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TextDocument {
    /// A relative file name with `/` between its parts: it names the document.
    #[schemars(length(min = 1))]
    name: String,
    text: String,
    /// Read off the name unless it is said.
    media_type: Option<String>,
}

impl TextDocument {
    fn into_raw(self, place: String) -> RawDocument {
        let Self { name, text, media_type } = self;
        RawDocument { place, name, declared: media_type, bytes: Bytes::from(text), is_text: true }
    }
}

/// `POST …/documents/text`: one document as JSON.
pub(super) async fn upload_text(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    UploadJson { body: document, room: _room }: UploadJson<TextDocument>,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let uploads = check_uploads(vec![document.into_raw("document".to_owned())], app.limits()).await?;
    accept_documents(&app, &who, &key, &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DocumentBatch")]
pub(super) struct Batch {
    /// At least one; each name once.
    #[schemars(length(min = 1))]
    documents: Vec<TextDocument>,
}

/// `POST …/documents/batch`: several documents as JSON, all or none.
pub(super) async fn upload_batch(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    UploadJson { body: batch, room: _room }: UploadJson<Batch>,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let raw = batch.documents.into_iter().enumerate();
    let raw = raw.map(|(at, document)| document.into_raw(format!("documents[{at}]"))).collect();
    let uploads = check_uploads(raw, app.limits()).await?;
    accept_documents(&app, &who, &key, &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those in this status.
    #[schemars(with = "Option<DocumentStatus>")]
    status: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/documents`: a page of documents, by id.
pub(super) async fn list(
    who: KbCaller<ReadDocuments>,
    Query(asked): Query<Listing>,
) -> Result<Answering<DocumentPage>, Problem> {
    let status: Option<DocumentStatus> = parameter("status", asked.status.as_deref())?;
    let after: Option<DocumentId> = page_after(asked.after.as_deref())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let page = who.caller.stores.catalog().documents(&who.kb.id, status, after.as_ref(), limit).await?;
    let documents = page.items.into_iter().map(DocumentView::from).collect();
    Ok(Answering(DocumentPage { documents, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Shown {
    #[schemars(with = "DocumentId")]
    document: String,
}

/// `GET …/documents/{document}`
pub(super) async fn show(
    who: KbCaller<ReadDocuments>,
    Path(shown): Path<Shown>,
) -> Result<Answering<DocumentView>, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    let document = who.caller.stores.catalog().document(&who.kb.id, &id).await?;
    document.map(|document| Answering(document.into())).ok_or_else(Problem::not_found)
}

/// `DELETE …/documents/{document}`: remove it from every store.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: KbCaller<DeleteDocuments>,
    key: IdempotencyKey,
    Path(shown): Path<Shown>,
) -> Result<Answer<DocumentJob>, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    accept_document_delete(&app, &who, &key, id).await
}
