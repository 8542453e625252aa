//! Replacing what a document says.

use super::derive;
use super::mentions;
use super::port::Place;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::graph_fold::DocumentMentions;
use crate::model::GraphDelta;

/// Sets the document's part of the mention log to exactly `new`, and derives everything anew that gained or
/// lost a mention. The write lock, held from the beginning, is what keeps documents from losing each other's
/// updates.
pub(super) async fn replace(
    file: &SqliteFile,
    place: &Place<'_>,
    new: &DocumentMentions,
) -> Result<GraphDelta, Fault> {
    let mut tx = file.begin().await?;
    let mut affected = mentions::take(&mut tx, place).await?;
    mentions::insert(&mut tx, place, new).await?;
    let keys = new.keys();
    let delta = keys.delta();
    affected.extend(keys);
    for (source, target) in &affected.relations {
        derive::relation(&mut tx, place.workspace, source, target).await?;
    }
    for name in &affected.entities {
        derive::entity(&mut tx, place.workspace, name).await?;
    }
    tx.commit().await?;
    Ok(delta)
}
