//! Reading the graph.

use sqlx::SqliteExecutor;

use crate::embedded::column::unsigned;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{Entity, GraphCounts, Page, Relation, RelationCursor};
use crate::page;

pub(super) async fn counts(reader: impl SqliteExecutor<'_>, workspace: &str) -> Result<GraphCounts, Fault> {
    let (chunks, entities, relations): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM chunks WHERE workspace = ?1),
                (SELECT count(*) FROM entities WHERE workspace = ?1),
                (SELECT count(*) FROM relations WHERE workspace = ?1)",
    )
    .bind(workspace)
    .fetch_one(reader)
    .await?;
    Ok(GraphCounts {
        chunks: unsigned(chunks, "count(*)")?,
        entities: unsigned(entities, "count(*)")?,
        relations: unsigned(relations, "count(*)")?,
    })
}

pub(super) async fn entities(
    file: &SqliteFile,
    workspace: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Entity>, Fault> {
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT name, entity_type, description, source_id, file_path FROM entities
         WHERE workspace = ? AND name > ? ORDER BY name LIMIT ?",
    )
    .bind(workspace)
    // No name sorts before the empty one, and none is empty.
    .bind(after.unwrap_or_default())
    .bind(page::rows_for(limit))
    .fetch_all(file.read())
    .await?;
    let entity = |(name, entity_type, description, source_id, file_path)| Entity {
        name,
        entity_type,
        description,
        source_id,
        file_path,
    };
    Ok(page::cut(rows.into_iter().map(entity).collect(), limit, |entity| entity.name.clone()))
}

#[derive(sqlx::FromRow)]
struct RelationColumns {
    source: String,
    target: String,
    keywords: String,
    description: String,
    weight: f64,
    source_id: String,
    file_path: String,
}

impl From<RelationColumns> for Relation {
    fn from(row: RelationColumns) -> Self {
        Self {
            source: row.source,
            target: row.target,
            keywords: row.keywords,
            description: row.description,
            weight: row.weight,
            source_id: row.source_id,
            file_path: row.file_path,
        }
    }
}

pub(super) async fn relations(
    file: &SqliteFile,
    workspace: &str,
    after: Option<&RelationCursor>,
    limit: u32,
) -> Result<Page<Relation>, Fault> {
    let (source, target) = after.map_or(("", ""), |after| (after.source.as_str(), after.target.as_str()));
    let rows: Vec<RelationColumns> = sqlx::query_as(
        "SELECT source, target, keywords, description, weight, source_id, file_path FROM relations
         WHERE workspace = ? AND (source, target) > (?, ?) ORDER BY source, target LIMIT ?",
    )
    .bind(workspace)
    .bind(source)
    .bind(target)
    .bind(page::rows_for(limit))
    .fetch_all(file.read())
    .await?;
    let items = rows.into_iter().map(Relation::from).collect();
    Ok(page::cut(items, limit, |relation: &Relation| relation.cursor().to_string()))
}
