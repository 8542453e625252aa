//! Deleting many documents of a knowledge base as one piece of work.

use axum::extract::State;
use jobs::tenant::KbId;
use jobs::types;
use jobs::{DocumentId, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Acceptance, DocumentSelection, DocumentStatus};

use super::parameters::{Nothing, invalid_field};
use crate::accept::{Fingerprint, IdempotencyKey, Names, Submission, ensure_room};
use crate::answer::{Answer, job_location};
use crate::problem::Problem;
use crate::request::{DeleteDocuments, Json, KbCaller, OptionalJson};
use crate::state::ApiState;

/// How many documents a request may name.
const IDS_MAX: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DocumentSelection")]
pub(super) struct Selected {
    /// These documents, as far as they exist: 1 to 1000.
    #[schemars(with = "Option<Vec<DocumentId>>", length(min = 1, max = 1000))]
    ids: Option<Vec<String>>,
    /// All documents in this status.
    #[schemars(with = "Option<DocumentStatus>")]
    status: Option<String>,
}

impl Selected {
    fn read(self) -> Result<DocumentSelection, Problem> {
        match self {
            Self { ids: Some(ids), status: None } => ids_of(&ids).map(DocumentSelection::Ids),
            Self { ids: None, status: Some(status) } => {
                let status = status.parse::<DocumentStatus>();
                let status = status.map_err(|error| invalid_field("status", error.to_string()))?;
                Ok(DocumentSelection::InStatus(status))
            }
            Self { ids: Some(_), status: Some(_) } => {
                Err(invalid_field("status", "name either ids or a status".to_owned()))
            }
            Self { ids: None, status: None } => Err(invalid_field("ids", "name ids or a status".to_owned())),
        }
    }
}

fn ids_of(texts: &[String]) -> Result<Vec<DocumentId>, Problem> {
    if !(1..=IDS_MAX).contains(&texts.len()) {
        return Err(invalid_field("ids", format!("expected 1 to {IDS_MAX} ids, not {}", texts.len())));
    }
    let id = |(at, text): (usize, &String)| {
        text.parse().map_err(|error| invalid_field(&format!("ids[{at}]"), format!("{error}")))
    };
    texts.iter().enumerate().map(id).collect()
}

/// `POST …/documents/delete`: these documents, or those in a status.
pub(super) async fn delete_selected(
    State(app): State<ApiState>,
    who: KbCaller<DeleteDocuments>,
    key: IdempotencyKey,
    Json(selected): Json<Selected>,
) -> Result<Answer<DeletionJob>, Problem> {
    accept_deletion(&app, &who, &key, &selected.read()?).await
}

/// `POST …/empty`: all documents of the knowledge base.
pub(super) async fn empty(
    State(app): State<ApiState>,
    who: KbCaller<DeleteDocuments>,
    key: IdempotencyKey,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answer<DeletionJob>, Problem> {
    accept_deletion(&app, &who, &key, &DocumentSelection::All).await
}

/// Work on documents of a knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeletionJob {
    /// The job that begins the work; where there are many documents, it enqueues others that go on.
    job_id: JobId,
    /// URL of the job.
    location: String,
    kb_id: KbId,
    /// How many documents are deleted.
    documents: u64,
}

/// Writes down which documents are meant, each at its present revision, and enqueues one `documents.delete`. A document
/// that is uploaded again in between stays.
///
/// # Errors
/// When the tenant may not have more jobs in the queue, the idempotency key was used for another request, or a store
/// does not answer.
async fn accept_deletion(
    app: &ApiState,
    who: &KbCaller<DeleteDocuments>,
    key: &IdempotencyKey,
    selection: &DocumentSelection,
) -> Result<Answer<DeletionJob>, Problem> {
    let submission = Submission {
        app,
        stores: &who.stores,
        key,
        fingerprint: fingerprint(who, selection),
        names: Names::default(),
    };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let now = app.clock().now();
    let job_id = JobId::generate(now);
    let job = who.stamp(app, job_id, &types::DeleteDocuments { list: job_id })?;
    ensure_room(app, who.known_room(), std::slice::from_ref(&job)).await?;
    let catalog = who.stores.catalog();
    // Before the job is accepted, which may then run at any moment. A list that no job knows changes nothing.
    let documents = catalog.deletion_list_put(&who.kb.id, job_id, selection, now).await?;
    let location = job_location(who.tenant(), job_id);
    let body = DeletionJob { job_id, location, kb_id: who.kb.id.clone(), documents };
    let answer = submission.accept_once(Acceptance { jobs: vec![job], ..Acceptance::default() }, body).await;
    let is_refused = answer.as_ref().is_err_and(|problem| problem.status().is_client_error());
    if is_refused || answer.as_ref().is_ok_and(|answer| answer.replayed) {
        catalog.deletion_list_forget(job_id).await?;
    }
    answer
}

fn fingerprint(who: &KbCaller<DeleteDocuments>, selection: &DocumentSelection) -> Fingerprint {
    let kb = who.kb.id.as_str();
    match selection {
        DocumentSelection::All => Fingerprint::of("kb.empty", [kb]),
        DocumentSelection::InStatus(status) => {
            Fingerprint::of("documents.delete.status", [kb, status.as_str()])
        }
        DocumentSelection::Ids(ids) => {
            let ids = ids.iter().map(DocumentId::as_str);
            Fingerprint::of("documents.delete.ids", std::iter::once(kb).chain(ids))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn read(ids: Option<&[&str]>, status: Option<&str>) -> Result<DocumentSelection, (Code, Option<String>)> {
        let ids = ids.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let selected = Selected { ids, status: status.map(str::to_owned) };
        selected.read().map_err(|problem| (problem.code(), problem.field_name().map(str::to_owned)))
    }

    #[test]
    fn a_request_names_ids_or_a_status() {
        let id = DocumentId::of_name("a.md");
        assert_eq!(read(Some(&[id.as_str()]), None), Ok(DocumentSelection::Ids(vec![id.clone()])));
        assert_eq!(read(None, Some("failed")), Ok(DocumentSelection::InStatus(DocumentStatus::Failed)));
        let many = vec![id.as_str(); IDS_MAX + 1];
        for (ids, status, field) in [
            (None, None, "ids"),
            (Some(&[][..]), None, "ids"),
            (Some(&many[..]), None, "ids"),
            (Some(&[id.as_str(), "a.md"]), None, "ids[1]"),
            (Some(&[id.as_str()]), Some("failed"), "status"),
            (None, Some("gone"), "status"),
        ] {
            assert_eq!(read(ids, status), Err((Code::InvalidField, Some(field.to_owned()))), "{field}");
        }
    }
}
