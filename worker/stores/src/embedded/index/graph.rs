//! Replacing what a document says.

use jobs::plan::{Limits, Quota};

use super::derive;
use super::mentions;
use super::pages;
use super::port::Place;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::index::fold::DocumentMentions;
use crate::model::{GraphDelta, OverQuota, graph_refused};

/// Sets the document's part of the mention log to exactly `new`, and derives everything anew that gained or
/// lost a mention, unless that is more than `limits` allow. The write lock, held from the beginning, is what
/// keeps documents from losing each other's updates.
pub(super) async fn replace(
    file: &SqliteFile,
    place: &Place<'_>,
    new: &DocumentMentions,
    limits: &Limits,
) -> Result<Result<GraphDelta, OverQuota>, Fault> {
    let mut tx = file.begin().await?;
    let limited = [Quota::EntitiesPerKb, Quota::RelationsPerKb].map(|quota| limits.maximum(quota));
    let before = match limited {
        [None, None] => None,
        _ => Some(pages::counts(&mut *tx, place.workspace).await?),
    };
    let mut affected = mentions::take(&mut tx, place).await?;
    mentions::insert(&mut tx, place, new).await?;
    let keys = new.keys().await;
    let delta = keys.delta();
    affected.extend(keys).await;
    for (source, target) in &affected.relations {
        derive::relation(&mut tx, place.workspace, source, target).await?;
    }
    for name in &affected.entities {
        derive::entity(&mut tx, place.workspace, name).await?;
    }
    if let Some(before) = before {
        let after = pages::counts(&mut *tx, place.workspace).await?;
        if let Some(over) = graph_refused(limits, &before, &after) {
            tx.rollback().await?;
            return Ok(Err(over));
        }
    }
    tx.commit().await?;
    Ok(Ok(delta))
}

/// Removes everything of a workspace.
pub(super) async fn forget(file: &SqliteFile, workspace: &str) -> Result<(), Fault> {
    let mut tx = file.begin().await?;
    for statement in [
        "DELETE FROM relation_mentions WHERE workspace = ?",
        "DELETE FROM entity_mentions WHERE workspace = ?",
        "DELETE FROM relations WHERE workspace = ?",
        "DELETE FROM entities WHERE workspace = ?",
        "DELETE FROM chunks WHERE workspace = ?",
    ] {
        sqlx::query(statement).bind(workspace).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}
