//! The knowledge bases of a tenant, each with its documents by status.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;

use crate::api::{segment, with_query};
use crate::contract::{Kb, KbPage};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    after: String,
}

#[derive(Template)]
#[template(path = "kbs.html")]
struct Kbs {
    frame: Frame,
    rows: Vec<Kb>,
    next: Option<String>,
    /// Whether the credentials may see documents: the operator's key and a `VIEWER_READONLY` may not.
    reads: bool,
}

pub(crate) async fn list(
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let frame = Frame::of_tenant(&visitor, &tenant, "Knowledge bases", "kbs");
    if !visitor.me.reads_documents() {
        return Ok(page(&Kbs { frame, rows: Vec::new(), next: None, reads: false }));
    }
    let path = format!("/tenants/{}/kbs", segment(&tenant));
    let found: KbPage =
        visitor.api.get(&with_query(&path, &[("after", &asked.after), ("limit", "100")])).await?;
    let here = format!("/t/{}/kbs", segment(&tenant));
    let next = found.next.map(|next| with_query(&here, &[("after", &next)]));
    Ok(page(&Kbs { frame, rows: found.kbs, next, reads: true }))
}
