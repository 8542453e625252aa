//! Knowledge bases.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;

use super::{Catalog, Row, Tx};
use crate::model::{DocumentStatus, Kb, KbStatistics, NewKb, WorkspaceId};
use crate::ports::StoreResult;

/// Selects a knowledge base, closed or not.
pub(super) const KB: &str =
    "select *, deleting_at is not null as is_closed from kbs where tenant_id = $1 and kb_id = $2";

/// Reads a row of [`KB`], or of a query with the same columns.
pub(super) fn read_kb(row: &Row) -> sqlx::Result<Kb> {
    Ok(Kb {
        id: row.parsed("kb_id")?,
        name: row.text("name")?,
        description: row.text("description")?,
        workspace: row.parsed("workspace")?,
        revision: row.number("revision")?,
        is_closed: row.flag("is_closed")?,
        created_at: row.time("created_at")?,
        created_by: row.text_or_null("created_by")?,
        updated_at: row.time_or_null("updated_at")?.map_or_else(|| row.time("created_at"), Ok)?,
    })
}

impl Catalog {
    /// Creates a knowledge base unless it exists, and returns what is stored.
    pub async fn kb_ensure(
        &self,
        id: &KbId,
        name: &str,
        workspace: &WorkspaceId,
        now: DateTime<Utc>,
    ) -> StoreResult<Kb> {
        let mut tx = self.rows.write("catalog.kb_ensure").await?;
        let new = NewKb::new(id.clone(), name, workspace.clone());
        self.kb_insert(&mut tx, &new, now).await?;
        let kb = tx.one(self.sql(KB).bind(id.as_str()), read_kb).await?;
        tx.commit().await?;
        Ok(self.announced(kb).await)
    }

    /// Creates a knowledge base. Returns whether its id was free.
    pub(super) async fn kb_insert(&self, tx: &mut Tx, new: &NewKb, now: DateTime<Utc>) -> StoreResult<bool> {
        let insert = self.sql(
            "insert into kbs (tenant_id, kb_id, name, workspace, created_at, description, created_by)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, kb_id) do nothing",
        );
        let insert = insert.bind(new.id.as_str()).bind(&new.name).bind(new.workspace.as_str()).bind(now);
        Ok(tx.execute(insert.bind(&new.description).bind(new.created_by.as_deref())).await? == 1)
    }

    /// Writes name and description of a knowledge base, and when that was (`updated_at`), if the revision before
    /// `kb`'s is still current. Returns whether it was.
    pub async fn kb_describe(&self, kb: &Kb) -> StoreResult<bool> {
        let update = self.sql(
            "update kbs set name = $4, description = $5, updated_at = $6, revision = $3
             where tenant_id = $1 and kb_id = $2 and revision = $3 - 1 and deleting_at is null",
        );
        let update = update.bind(kb.id.as_str()).bind(kb.revision).bind(&kb.name);
        let update = update.bind(&kb.description).bind(kb.updated_at);
        let current = self.rows.execute("catalog.kb_describe", update).await? == 1;
        Ok(self.announced(current).await)
    }

    /// How much these knowledge bases hold, by one statement. One without documents is left out.
    pub async fn kb_statistics(&self, kbs: &[KbId]) -> StoreResult<HashMap<KbId, KbStatistics>> {
        let select = self.sql(
            "select kb_id, count(*) as total,
                 case when status = 'processed' and chunks_failed > 0 then 'partial' else status end as status,
                 cast(coalesce(sum(size_bytes + kept_bytes
                     + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint) as bytes
             from documents where tenant_id = $1 and kb_id {in $2} and deleting_at is null group by 1, 3",
        );
        let read = |row: &Row| {
            let (kb, status): (KbId, DocumentStatus) = (row.parsed("kb_id")?, row.parsed("status")?);
            Ok((kb, status, row.number::<u64>("total")?, row.number::<u64>("bytes")?))
        };
        let found = self.rows.all("catalog.kb_statistics", select.bind_list(kbs), read).await?;
        let mut statistics: HashMap<KbId, KbStatistics> = HashMap::new();
        for (kb, status, total, bytes) in found {
            let of = statistics.entry(kb).or_default();
            of.storage_bytes += bytes;
            for (at, known) in DocumentStatus::ALL.into_iter().enumerate() {
                if known == status {
                    of.documents[at] += total;
                }
            }
        }
        Ok(statistics)
    }

    /// One knowledge base. Those that are being deleted are not found, here and in lists.
    pub async fn kb(&self, id: &KbId) -> StoreResult<Option<Kb>> {
        Ok(self.kb_as("catalog.kb", id).await?.filter(|kb| !kb.is_closed))
    }

    /// A knowledge base, also while it is being deleted.
    pub(super) async fn kb_as(&self, operation: &'static str, id: &KbId) -> StoreResult<Option<Kb>> {
        self.rows.optional(operation, self.sql(KB).bind(id.as_str()), read_kb).await
    }

    /// The knowledge bases by id, without those that are being deleted.
    pub async fn kbs(&self) -> StoreResult<Vec<Kb>> {
        let select = self.sql(
            "select *, false as is_closed from kbs
             where tenant_id = $1 and deleting_at is null order by kb_id",
        );
        self.rows.all("catalog.kbs", select, read_kb).await
    }

    /// The knowledge bases by id, those that are being deleted included.
    pub(super) async fn kbs_all(&self, operation: &'static str) -> StoreResult<Vec<Kb>> {
        let select = self.sql(
            "select *, deleting_at is not null as is_closed from kbs where tenant_id = $1 order by kb_id",
        );
        self.rows.all(operation, select, read_kb).await
    }

    /// Closes a knowledge base and its documents, so that they are no longer found. Returns whether it exists.
    pub(super) async fn kb_close(&self, tx: &mut Tx, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
        let close = self.sql(
            "update kbs set deleting_at = coalesce(deleting_at, $3), revision = revision + 1
             where tenant_id = $1 and kb_id = $2",
        );
        let closed = tx.execute(close.bind(kb.as_str()).bind(now)).await? == 1;
        // Raises the documents' revisions too, so that running jobs find their revision outdated and stop.
        let documents = self.sql(
            "update documents set deleting_at = coalesce(deleting_at, $3), revision = revision + 1
             where tenant_id = $1 and kb_id = $2",
        );
        tx.execute(documents.bind(kb.as_str()).bind(now)).await?;
        let schedules = self.sql("delete from schedules where tenant_id = $1 and kb_id = $2");
        tx.execute(schedules.bind(kb.as_str())).await?;
        Ok(closed)
    }

    /// Removes the rows of a closed knowledge base, and revokes the API keys that are restricted to it. Returns
    /// whether there was one.
    pub(super) async fn kb_delete(
        &self,
        operation: &'static str,
        kb: &KbId,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let mut tx = self.rows.write_bulk(operation).await?;
        self.lock(&mut tx).await?;
        let closed = self.sql(
            "select 1 as found from kbs
             where tenant_id = $1 and kb_id = $2 and deleting_at is not null {for update}",
        );
        if tx.optional(closed.bind(kb.as_str()), |_| Ok(())).await?.is_none() {
            return Ok(self.announced(false).await);
        }
        let last = self.sql(
            "select coalesce(max(revision), 0) as last from documents where tenant_id = $1 and kb_id = $2",
        );
        let last = tx.one(last.bind(kb.as_str()), |row| row.number("last")).await?;
        self.revisions_gone(&mut tx, last).await?;
        let revoke = self.sql(
            "update api_keys set revoked_at = $3, revision = revision + 1
             where tenant_id = $1 and kb_id = $2 and revoked_at is null",
        );
        tx.execute(revoke.bind(kb.as_str()).bind(now)).await?;
        for delete in [
            "delete from documents where tenant_id = $1 and kb_id = $2",
            "delete from schedules where tenant_id = $1 and kb_id = $2",
            "delete from document_deletions where tenant_id = $1 and kb_id = $2",
            "delete from batch_left where tenant_id = $1 and kb_id = $2",
            "delete from batch_cancellations where tenant_id = $1 and kb_id = $2",
            "delete from kbs where tenant_id = $1 and kb_id = $2",
        ] {
            tx.execute(self.sql(delete).bind(kb.as_str())).await?;
        }
        tx.leave_no_traces().await?;
        tx.commit().await?;
        Ok(self.announced(true).await)
    }
}
