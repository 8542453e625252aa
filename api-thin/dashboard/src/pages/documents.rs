//! The documents of a knowledge base: how far each is, why one failed, and new ones.

use askama::Template;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use crate::Dashboard;
use crate::api::{Problem, segment, with_query};
use crate::contract::{Document, DocumentPage, DocumentStage, Kb};
use crate::frame::{Frame, PageError, page};
use crate::session::{self, Visitor};
use crate::wording::{self, moment};

/// Of how many documents that are being worked on a page shows how far they are.
const STAGES: usize = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    status: String,
    after: String,
}

#[derive(Template)]
#[template(path = "documents.html")]
struct Documents {
    frame: Frame,
    kb: Kb,
    asked: Asked,
    rows: Vec<Row>,
    next: Option<String>,
    writes: bool,
    /// Of all documents, how many are done or failed, in percent.
    percent: u64,
}

struct Row {
    document: Document,
    stage: Option<DocumentStage>,
    age: String,
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, id)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/kbs/{}", segment(&tenant), segment(&id));
    let query = [("status", &*asked.status), ("after", &*asked.after), ("limit", "50")];
    let listed = with_query(&format!("{path}/documents"), &query);
    let (kb, found) =
        tokio::try_join!(visitor.api.get::<Kb>(&path), visitor.api.get::<DocumentPage>(&listed))?;
    let here = format!("/t/{}/kbs/{}", segment(&tenant), segment(&id));
    let next = found.next.map(|next| with_query(&here, &[("status", &asked.status), ("after", &next)]));
    let now = dashboard.now();
    let row = |document: Document| Row { stage: None, age: moment(document.updated_at, now), document };
    let mut rows: Vec<Row> = found.documents.into_iter().map(row).collect();
    show_stages(&visitor, &path, &mut rows).await;
    let over = kb.documents("processed") + kb.documents("partial") + kb.documents("failed");
    let template = Documents {
        frame: Frame::of_tenant(&visitor, &tenant, kb.name.clone(), "kbs"),
        percent: (over * 100).checked_div(kb.total()).unwrap_or(100),
        kb,
        rows,
        next,
        writes: visitor.me.writes_documents(),
        asked,
    };
    Ok(page(&template))
}

/// Asks how far those are that are being worked on. One that has ended or is gone since has no stage.
async fn show_stages(visitor: &Visitor, kb: &str, rows: &mut [Row]) {
    let under_way = rows.iter_mut().filter(|row| row.document.status == "processing").take(STAGES);
    join_all(under_way.map(|row| async {
        let path = format!("{kb}/documents/{}", segment(&row.document.id));
        row.stage = visitor.api.get::<Document>(&path).await.ok().and_then(|document| document.stage);
    }))
    .await;
}

#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    /// In the query, because the body is passed on as it comes.
    #[serde(default)]
    csrf: String,
}

/// Passes files on to the API. A script gets JSON, a form comes back to the page.
pub(crate) async fn upload(
    visitor: Visitor,
    Path((tenant, kb)): Path<(String, String)>,
    Query(form): Query<Form>,
    request: Request,
) -> Result<Response, PageError> {
    visitor.check_csrf(&form.csrf)?;
    let (parts, body) = request.into_parts();
    let named = [header::CONTENT_TYPE, header::CONTENT_LENGTH];
    let given = named
        .into_iter()
        .filter_map(|name| parts.headers.get(&name).map(|value| (name.clone(), value.clone())));
    let headers: HeaderMap = given.collect();
    let path = format!("/tenants/{}/kbs/{}/documents", segment(&tenant), segment(&kb));
    let (status, answer) = visitor.api.pass(Method::POST, &path, headers, Body::new(body)).await?;
    if parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json") {
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        return Ok((status, Json(answer)).into_response());
    }
    if status != StatusCode::ACCEPTED {
        let problem: Problem = serde_json::from_slice(&answer).map_err(|_| PageError::not_found())?;
        return Err(problem.into());
    }
    let back = format!("/t/{}/kbs/{}", segment(&tenant), segment(&kb));
    let notice = session::notice(&parts.headers, "Accepted: they are on their way.");
    Ok(([(header::SET_COOKIE, notice)], Redirect::to(&back)).into_response())
}
