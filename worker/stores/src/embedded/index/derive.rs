//! Deriving one entity or relation from the mention log.

use sqlx::SqliteConnection;

use crate::embedded::fault::Fault;
use crate::index::fold::{self, EntityRow, MENTIONS_READ, RelationRow};
use crate::model::{Entity, Relation};

/// How many rows of the log one fold reads.
#[expect(clippy::cast_possible_wrap, reason = "a few hundred")]
const READ: i64 = MENTIONS_READ as i64;

pub(super) async fn entity(tx: &mut SqliteConnection, workspace: &str, name: &str) -> Result<(), Fault> {
    let rows = entity_rows(tx, workspace, name).await?;
    let derived = match fold::entity(name, rows) {
        Some(entity) => Some(entity),
        None => fold::unknown_entity(name, end_rows(tx, workspace, name).await?),
    };
    match derived {
        Some(entity) => entity_put(tx, workspace, &entity).await,
        None => entity_delete(tx, workspace, name).await,
    }
}

pub(super) async fn relation(
    tx: &mut SqliteConnection,
    workspace: &str,
    source: &str,
    target: &str,
) -> Result<(), Fault> {
    let rows = relation_rows(tx, workspace, source, target).await?;
    let weight_milli: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(weight_milli), 0) FROM relation_mentions
         WHERE workspace = ? AND source = ? AND target = ?",
    )
    .bind(workspace)
    .bind(source)
    .bind(target)
    .fetch_one(&mut *tx)
    .await?;
    match fold::relation(source, target, rows, weight_milli) {
        Some(relation) => relation_put(tx, workspace, &relation).await,
        None => relation_delete(tx, workspace, source, target).await,
    }
}

async fn entity_rows(
    tx: &mut SqliteConnection,
    workspace: &str,
    name: &str,
) -> Result<Vec<EntityRow>, Fault> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT chunk_id, file, entity_type, description FROM entity_mentions
         WHERE workspace = ? AND name = ? ORDER BY chunk_id LIMIT ?",
    )
    .bind(workspace)
    .bind(name)
    .bind(READ)
    .fetch_all(tx)
    .await?;
    let row =
        |(chunk_id, file, entity_type, description)| EntityRow { chunk_id, file, entity_type, description };
    Ok(rows.into_iter().map(row).collect())
}

/// The columns of [`RelationRow`] in order.
type RelationColumns = (String, String, String, String, String, String);

fn relation_row((chunk_id, source, target, file, keywords, description): RelationColumns) -> RelationRow {
    RelationRow { chunk_id, source, target, file, keywords, description }
}

async fn relation_rows(
    tx: &mut SqliteConnection,
    workspace: &str,
    source: &str,
    target: &str,
) -> Result<Vec<RelationRow>, Fault> {
    let rows: Vec<RelationColumns> = sqlx::query_as(
        "SELECT chunk_id, source, target, file, keywords, description FROM relation_mentions
         WHERE workspace = ? AND source = ? AND target = ? ORDER BY chunk_id LIMIT ?",
    )
    .bind(workspace)
    .bind(source)
    .bind(target)
    .bind(READ)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(relation_row).collect())
}

/// The first mentions of relations that `name` is an end of: as many of each direction as of both together
/// are needed.
async fn end_rows(tx: &mut SqliteConnection, workspace: &str, name: &str) -> Result<Vec<RelationRow>, Fault> {
    let rows: Vec<RelationColumns> = sqlx::query_as(
        "SELECT * FROM (
             SELECT chunk_id, source, target, file, keywords, description FROM relation_mentions
             WHERE workspace = ?1 AND source = ?2 ORDER BY chunk_id, target LIMIT ?3)
         UNION ALL
         SELECT * FROM (
             SELECT chunk_id, source, target, file, keywords, description FROM relation_mentions
             WHERE workspace = ?1 AND target = ?2 ORDER BY chunk_id, source LIMIT ?3)",
    )
    .bind(workspace)
    .bind(name)
    .bind(READ)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(relation_row).collect())
}

async fn entity_put(tx: &mut SqliteConnection, workspace: &str, entity: &Entity) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO entities (workspace, name, entity_type, description, source_id, file_path)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (workspace, name) DO UPDATE SET entity_type = excluded.entity_type,
             description = excluded.description, source_id = excluded.source_id,
             file_path = excluded.file_path",
    )
    .bind(workspace)
    .bind(&entity.name)
    .bind(&entity.entity_type)
    .bind(&entity.description)
    .bind(&entity.source_id)
    .bind(&entity.file_path)
    .execute(tx)
    .await?;
    Ok(())
}

async fn entity_delete(tx: &mut SqliteConnection, workspace: &str, name: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM entities WHERE workspace = ? AND name = ?")
        .bind(workspace)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

async fn relation_put(tx: &mut SqliteConnection, workspace: &str, relation: &Relation) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO relations
             (workspace, source, target, keywords, description, weight, source_id, file_path)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (workspace, source, target) DO UPDATE SET keywords = excluded.keywords,
             description = excluded.description, weight = excluded.weight,
             source_id = excluded.source_id, file_path = excluded.file_path",
    )
    .bind(workspace)
    .bind(&relation.source)
    .bind(&relation.target)
    .bind(&relation.keywords)
    .bind(&relation.description)
    .bind(relation.weight)
    .bind(&relation.source_id)
    .bind(&relation.file_path)
    .execute(tx)
    .await?;
    Ok(())
}

async fn relation_delete(
    tx: &mut SqliteConnection,
    workspace: &str,
    source: &str,
    target: &str,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM relations WHERE workspace = ? AND source = ? AND target = ?")
        .bind(workspace)
        .bind(source)
        .bind(target)
        .execute(tx)
        .await?;
    Ok(())
}
