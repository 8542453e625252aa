//! The mention log.

use sqlx::SqliteConnection;

use super::port::Place;
use crate::embedded::fault::Fault;
use crate::index::fold::{Breaks, DocumentMentions, GraphKeys};

/// Removes a document's mentions, and returns what they were about.
pub(super) async fn take(tx: &mut SqliteConnection, place: &Place<'_>) -> Result<GraphKeys, Fault> {
    let (mut keys, mut breaks) = (GraphKeys::default(), Breaks::default());
    let names: Vec<String> = sqlx::query_scalar(
        "DELETE FROM entity_mentions WHERE workspace = ? AND document_id = ? RETURNING name",
    )
    .bind(place.workspace)
    .bind(place.document)
    .fetch_all(&mut *tx)
    .await?;
    keys.entities.extend(names);
    let pairs: Vec<(String, String)> = sqlx::query_as(
        "DELETE FROM relation_mentions WHERE workspace = ? AND document_id = ? RETURNING source, target",
    )
    .bind(place.workspace)
    .bind(place.document)
    .fetch_all(tx)
    .await?;
    for (source, target) in pairs {
        breaks.step().await;
        keys.insert_relation(source, target);
    }
    Ok(keys)
}

/// Adds a document's mentions.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    place: &Place<'_>,
    new: &DocumentMentions,
) -> Result<(), Fault> {
    for mention in &new.entities {
        sqlx::query(
            "INSERT INTO entity_mentions
                 (workspace, name, chunk_id, document_id, file, entity_type, description)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(place.workspace)
        .bind(&mention.name)
        .bind(&mention.chunk_id)
        .bind(place.document)
        .bind(place.file)
        .bind(&mention.entity_type)
        .bind(&mention.description)
        .execute(&mut *tx)
        .await?;
    }
    for mention in &new.relations {
        sqlx::query(
            "INSERT INTO relation_mentions
                 (workspace, source, target, chunk_id, document_id, file, keywords, weight_milli, description)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(place.workspace)
        .bind(&mention.source)
        .bind(&mention.target)
        .bind(&mention.chunk_id)
        .bind(place.document)
        .bind(place.file)
        .bind(&mention.keywords)
        .bind(mention.weight_milli)
        .bind(&mention.description)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
