//! One document: where it is and why it waits, why it failed and how to start it again, and what was made of it: its
//! chunks, with what the graph has from each.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{Problem, segment, with_query};
use crate::contract::{Children, Chunk, ChunkPage, ChunkWithMentions, Document, Job, Wait};
use crate::frame::{Frame, PageError, page};
use crate::pages::jobs::{is_kept, with_help};
use crate::session::Visitor;
use crate::wording::{self, exact, moment};

/// Letters of a chunk that a list shows.
const SHOWN: usize = 240;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    after: String,
}

#[derive(Template)]
#[template(path = "document.html")]
struct OneDocument {
    frame: Frame,
    kb: String,
    document: Document,
    /// When it was uploaded first and changed last, exactly and from now.
    times: [(&'static str, String, String); 2],
    /// When the job that it waits for is due, from now.
    due: Option<String>,
    /// Why that job does not run, with what helps.
    hints: Vec<(Wait, &'static str)>,
    /// The job that failed for good, and can be started again.
    kept: Option<String>,
    chunks: Vec<(Chunk, String)>,
    next: Option<String>,
    can_retry: bool,
    writes: bool,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, kb, id)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let path = path_of(&tenant, &kb, &id);
    let listed = with_query(&format!("{path}/chunks"), &[("after", &*asked.after), ("limit", "50")]);
    let (mut document, found) =
        tokio::try_join!(visitor.api.get::<Document>(&path), visitor.api.get::<ChunkPage>(&listed))?;
    let kept = match document.status.as_str() {
        "failed" => kept_job(&visitor, &tenant, &document.job_id).await?,
        _ => None,
    };
    let reasons = document.waits_for.as_mut().map(|waits| std::mem::take(&mut waits.reasons));
    let now = dashboard.now();
    let time = |what, at| (what, exact(at), moment(at, now));
    let here = format!("/t/{}/kbs/{}/documents/{}", segment(&tenant), segment(&kb), segment(&id));
    let template = OneDocument {
        frame: Frame::of_tenant(&visitor, &tenant, document.name.clone(), "kbs"),
        times: [time("Uploaded", document.created_at), time("Changed", document.updated_at)],
        chunks: found.chunks.into_iter().map(with_beginning).collect(),
        next: found.next.map(|next| with_query(&here, &[("after", &next)])),
        due: document.waits_for.as_ref().and_then(|waits| waits.due_at).map(|due| moment(due, now)),
        hints: with_help(reasons.unwrap_or_default()),
        can_retry: kept.is_some() && visitor.me.steers_jobs(),
        writes: visitor.me.writes_documents(),
        kept,
        document,
        kb,
    };
    Ok(page(&template))
}

fn path_of(tenant: &str, kb: &str, document: &str) -> String {
    format!("/tenants/{}/kbs/{}/documents/{}", segment(tenant), segment(kb), segment(document))
}

fn with_beginning(chunk: Chunk) -> (Chunk, String) {
    let beginning = shortened(&chunk.text);
    (chunk, beginning)
}

/// The first letters of a text.
fn shortened(text: &str) -> String {
    let mut letters = text.chars();
    let mut first: String = letters.by_ref().take(SHOWN).collect();
    if letters.next().is_some() {
        first.push('…');
    }
    first
}

/// Looks for the dead letter for which the document failed: the job that reads it, or one that this enqueued. Of old
/// documents there may be none left.
async fn kept_job(visitor: &Visitor, tenant: &str, job: &str) -> Result<Option<String>, PageError> {
    let path = format!("/tenants/{}/jobs/{}", segment(tenant), segment(job));
    let first = match visitor.api.get::<Job>(&path).await {
        Ok(first) => first,
        Err(Problem { status: 404, .. }) => return Ok(None),
        Err(problem) => return Err(problem.into()),
    };
    let children = visitor.api.get::<Children>(&format!("{path}/children")).await?;
    let mut states = vec![(first.id, first.state)];
    states.extend(children.jobs.into_iter().map(|child| (child.id, child.state)));
    Ok(states.into_iter().find(|(_, state)| is_kept(state)).map(|(id, _)| id))
}

#[derive(Template)]
#[template(path = "chunk.html")]
struct OneChunk {
    frame: Frame,
    kb: String,
    document: Document,
    found: ChunkWithMentions,
}

/// A chunk of it, and what the graph has from there.
pub(crate) async fn chunk(
    visitor: Visitor,
    Path((tenant, kb, id, chunk)): Path<(String, String, String, String)>,
) -> Result<Response, PageError> {
    let path = path_of(&tenant, &kb, &id);
    let of_chunk = format!("{path}/chunks/{}", segment(&chunk));
    let (document, found) = tokio::try_join!(
        visitor.api.get::<Document>(&path),
        visitor.api.get::<ChunkWithMentions>(&of_chunk)
    )?;
    let frame = Frame::of_tenant(&visitor, &tenant, format!("Chunk {}", found.chunk.index + 1), "kbs");
    Ok(page(&OneChunk { frame, kb, document, found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chunks_are_shortened_between_letters() {
        assert_eq!(shortened("Ada"), "Ada");
        let long = "ü".repeat(SHOWN + 1);
        assert_eq!(shortened(&long), format!("{}…", "ü".repeat(SHOWN)));
        assert_eq!(shortened(&"ü".repeat(SHOWN)), "ü".repeat(SHOWN));
    }
}
