use std::collections::BTreeMap;

use axum::Json as Answering;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::Catalog;
use stores::model::{DocumentStatus, Kb};

use super::page::Paging;
use super::text::{invalid, text};
use super::versioned::Versioned;
use crate::accept::{Answer, KbJob, MadeKb, accept_kb, accept_kb_delete};
use crate::extract::{
    Caller, CreateKbs, DeleteKbs, IdempotencyKey, IfMatch, Json, KbCaller, Need, Query, ReadDocuments,
    TenantCaller,
};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// How often others may change the same knowledge base in between before we give up.
const TRIES: u32 = 8;

/// `GET …/kbs`: a page of the knowledge bases that the credentials reach, with their documents by status.
pub(super) async fn list(
    who: Caller<ReadDocuments>,
    Query(asked): Query<Paging>,
) -> Result<Answering<KbList>, Problem> {
    let catalog = who.stores.catalog();
    let reached = catalog.kbs().await?.into_iter().filter(|kb| who.reaches(Some(&kb.id)));
    let (page, next) = asked.cut(reached.collect(), |kb: &Kb| kb.id.to_string())?;
    let mut kbs = Vec::with_capacity(page.len());
    for kb in &page {
        kbs.push(view(kb, &catalog).await?);
    }
    Ok(Answering(KbList { kbs, next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKb")]
pub(super) struct Wanted {
    /// A fresh one unless it is said.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// What people call it: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
}

/// `POST …/kbs`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: TenantCaller<CreateKbs>,
    key: IdempotencyKey,
    Json(Wanted { kb_id, name }): Json<Wanted>,
) -> Result<Answer<MadeKb, 201>, Problem> {
    let id: Option<KbId> =
        kb_id.map(|id| id.parse()).transpose().map_err(|error| invalid("kb_id", format!("{error}")))?;
    accept_kb(&app, &who, &key, id, text("name", name, 200)?).await
}

/// `GET …/kbs/{kb}`
pub(super) async fn show(who: KbCaller<ReadDocuments>) -> Result<Versioned<KbView>, Problem> {
    let kb = now(&who).await?;
    versioned(&who, &kb).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KbChange")]
pub(super) struct Change {
    /// Another one: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
}

/// `PATCH …/kbs/{kb}`: another name.
pub(super) async fn rename(
    who: KbCaller<CreateKbs>,
    if_match: IfMatch,
    Json(Change { name }): Json<Change>,
) -> Result<Versioned<KbView>, Problem> {
    let name = text("name", name, 200)?;
    for _ in 0..TRIES {
        let found = now(&who).await?;
        let expected = if_match.expect(found.revision)?;
        let revision = found.revision;
        if who.caller.stores.catalog().kb_rename(&found.id, &name, revision).await? {
            let renamed = Kb { name, revision: revision + 1, ..found };
            return versioned(&who, &renamed).await;
        }
        if expected.is_some() {
            return Err(IfMatch::failed());
        }
    }
    Err(Problem::new(Code::UploadConflict, "others change the same knowledge base").retry_after_s(1))
}

/// `DELETE …/kbs/{kb}`: close it, and empty every store of it.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: KbCaller<DeleteKbs>,
    key: IdempotencyKey,
) -> Result<Answer<KbJob>, Problem> {
    accept_kb_delete(&app, &who, &key).await
}

/// The knowledge base as it is now: what the directory knows of it may be some seconds old.
async fn now<N: Need>(who: &KbCaller<N>) -> Result<Kb, Problem> {
    who.caller.stores.catalog().kb(&who.kb.id).await?.ok_or_else(Problem::not_found)
}

async fn versioned<N: Need>(who: &KbCaller<N>, kb: &Kb) -> Result<Versioned<KbView>, Problem> {
    let body = view(kb, &who.caller.stores.catalog()).await?;
    Ok(Versioned { revision: kb.revision, body })
}

async fn view(kb: &Kb, catalog: &Catalog) -> Result<KbView, Problem> {
    let totals = catalog.document_totals(&kb.id).await?;
    let documents = DocumentStatus::ALL.iter().map(ToString::to_string).zip(totals).collect();
    Ok(KbView { id: kb.id.clone(), name: kb.name.clone(), created_at: kb.created_at, documents })
}

/// A knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Kb")]
pub(super) struct KbView {
    id: KbId,
    /// What people call it.
    name: String,
    created_at: DateTime<Utc>,
    /// How many of its documents are in which status.
    documents: BTreeMap<String, u64>,
}

/// Knowledge bases, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KbList {
    kbs: Vec<KbView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
