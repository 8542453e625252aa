//! Text chunks in `LightRAG`'s table.

use std::ops::Range;

use jobs::DocumentId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::pool::TenantDb;
use crate::model::{Chunk, Kb};
use crate::ports::StoreResult;

/// Chunks sent in one statement: of 1,200 tokens each, some megabytes.
const BATCH: usize = 1_000;

impl TenantDb {
    /// Sets a document's chunks to exactly these.
    pub(crate) async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        let mut tx = self.tx_bulk("index.chunks_replace").await?;
        // Two that replace the same document's chunks at once would both insert them.
        tx.lock_document(&kb.workspace, document).await?;
        let gone = sqlx::query(
            "delete from lightrag_doc_chunks where tenant_id = $1 and workspace = $2 and full_doc_id = $3",
        );
        let gone = gone.bind(self.tenant().as_str()).bind(kb.workspace.as_str()).bind(document.as_str());
        tx.execute(gone).await?;
        for batch in chunks.chunks(BATCH) {
            let sql = sqlx::query(
                "insert into lightrag_doc_chunks (tenant_id, kb_id, workspace, full_doc_id, file_path, \
                                                  id, chunk_order_index, tokens, content) \
                 select $1, $2, $3, $4, $5, id, place, tokens, content \
                 from unnest($6::text[], $7::int[], $8::int[], $9::text[]) as new (id, place, tokens, content)",
            );
            let sql = sql.bind(self.tenant().as_str()).bind(kb.id.as_str()).bind(kb.workspace.as_str());
            let sql = sql.bind(document.as_str()).bind(name);
            let sql = sql.bind(batch.iter().map(|chunk| document.chunk_id(chunk.order)).collect::<Vec<_>>());
            let sql = sql.bind(batch.iter().map(|chunk| int(chunk.order)).collect::<Vec<_>>());
            let sql = sql.bind(batch.iter().map(|chunk| int(chunk.tokens)).collect::<Vec<_>>());
            let sql = sql.bind(batch.iter().map(|chunk| chunk.content.as_str()).collect::<Vec<_>>());
            tx.execute(sql).await?;
        }
        tx.commit().await
    }

    /// The chunks of a document whose order lies in `orders`, by order.
    pub(crate) async fn chunks(
        &self,
        kb: &Kb,
        document: &DocumentId,
        orders: Range<u32>,
    ) -> StoreResult<Vec<Chunk>> {
        let sql = sqlx::query(
            "select chunk_order_index::bigint as place, tokens::bigint, content from lightrag_doc_chunks \
             where tenant_id = $1 and workspace = $2 and full_doc_id = $3 \
               and chunk_order_index >= $4 and chunk_order_index < $5 order by chunk_order_index",
        );
        let sql = sql.bind(self.tenant().as_str()).bind(kb.workspace.as_str()).bind(document.as_str());
        let mut tx = self.tx("index.chunks").await?;
        let found = tx.all(sql.bind(int(orders.start)).bind(int(orders.end)), read_chunk).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Removes all chunks of a knowledge base.
    pub(crate) async fn chunks_forget(&self, kb: &Kb) -> StoreResult<()> {
        let sql = sqlx::query("delete from lightrag_doc_chunks where tenant_id = $1 and workspace = $2");
        let mut tx = self.tx_bulk("index.chunks_forget").await?;
        tx.execute(sql.bind(self.tenant().as_str()).bind(kb.workspace.as_str())).await?;
        tx.commit().await
    }

    /// How many chunks there are.
    pub(crate) async fn chunks_count(&self, kb: &Kb) -> StoreResult<u64> {
        let sql = sqlx::query(
            "select count(*) as total from lightrag_doc_chunks where tenant_id = $1 and workspace = $2",
        );
        let mut tx = self.tx("index.chunks_count").await?;
        let sql = sql.bind(self.tenant().as_str()).bind(kb.workspace.as_str());
        let total = tx.one(sql, |row| number(row, "total")).await?;
        tx.commit().await?;
        Ok(total)
    }
}

/// `LightRAG`'s columns are 32 bits wide and signed.
fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn read_chunk(row: &PgRow) -> sqlx::Result<Chunk> {
    Ok(Chunk {
        order: number(row, "place")?,
        tokens: number(row, "tokens")?,
        content: row.try_get("content")?,
    })
}

/// A `bigint` column that holds a number of the given kind.
fn number<T: TryFrom<i64>>(row: &PgRow, column: &'static str) -> sqlx::Result<T> {
    let wide: i64 = row.try_get(column)?;
    T::try_from(wide).map_err(|_| sqlx::Error::Decode(format!("{column} is out of range").into()))
}
