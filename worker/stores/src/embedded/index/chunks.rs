//! The chunks of a document.

use std::ops::Range;

use super::port::Place;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::Chunk;

pub(super) async fn replace(file: &SqliteFile, place: &Place<'_>, chunks: &[Chunk]) -> Result<(), Fault> {
    let mut tx = file.begin().await?;
    sqlx::query("DELETE FROM chunks WHERE workspace = ? AND document_id = ?")
        .bind(place.workspace)
        .bind(place.document)
        .execute(&mut *tx)
        .await?;
    for chunk in chunks {
        sqlx::query(
            "INSERT INTO chunks (workspace, document_id, chunk_order, tokens, content, file)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(place.workspace)
        .bind(place.document)
        .bind(chunk.order)
        .bind(chunk.tokens)
        .bind(&chunk.content)
        .bind(place.file)
        .execute(&mut *tx)
        .await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn read(
    file: &SqliteFile,
    workspace: &str,
    document: &str,
    orders: Range<u32>,
) -> Result<Vec<Chunk>, Fault> {
    let rows: Vec<(u32, u32, String)> = sqlx::query_as(
        "SELECT chunk_order, tokens, content FROM chunks
         WHERE workspace = ? AND document_id = ? AND chunk_order >= ? AND chunk_order < ?
         ORDER BY chunk_order",
    )
    .bind(workspace)
    .bind(document)
    .bind(orders.start)
    .bind(orders.end)
    .fetch_all(file.read())
    .await?;
    Ok(rows.into_iter().map(|(order, tokens, content)| Chunk { order, tokens, content }).collect())
}
