//! Lists of documents that one request wants deleted. The job of the request works through its list.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::{DocumentId, JobId};

use super::history::HISTORY_KEPT;
use super::{Catalog, Row};
use crate::model::{DocumentSelection, DocumentStatus};
use crate::ports::StoreResult;

const PUT_BY_STATUS: &str = "
insert into document_deletions (tenant_id, list_id, kb_id, document_id, revision, created_at)
select tenant_id, $2, kb_id, document_id, revision, $3 from documents
where tenant_id = $1 and kb_id = $4 and deleting_at is null and ($5 is null
    or case when status = 'processed' and chunks_failed > 0 then 'partial' else status end = $5)
on conflict (tenant_id, list_id, document_id) do nothing";

const PUT_BY_ID: &str = "
insert into document_deletions (tenant_id, list_id, kb_id, document_id, revision, created_at)
select tenant_id, $2, kb_id, document_id, revision, $3 from documents
where tenant_id = $1 and kb_id = $4 and deleting_at is null and document_id {in $5}
on conflict (tenant_id, list_id, document_id) do nothing";

impl Catalog {
    /// Puts the selected documents of a knowledge base on the list `list`, each at its present revision. Returns how
    /// many there are. Removes lists of the tenant that are so old that no job works on them.
    pub async fn deletion_list_put(
        &self,
        kb: &KbId,
        list: JobId,
        selection: &DocumentSelection,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let mut tx = self.rows.write_bulk("catalog.deletion_list_put").await?;
        let old = self.sql("delete from document_deletions where tenant_id = $1 and created_at < $2");
        tx.execute(old.bind(now - HISTORY_KEPT)).await?;
        let text = match selection {
            DocumentSelection::All | DocumentSelection::InStatus(_) => PUT_BY_STATUS,
            DocumentSelection::Ids(_) => PUT_BY_ID,
        };
        let put = self.sql(text).bind(list).bind(now).bind(kb.as_str());
        let put = match selection {
            DocumentSelection::All => put.bind(None::<&str>),
            DocumentSelection::InStatus(status) => put.bind(Some(DocumentStatus::as_str(*status))),
            DocumentSelection::Ids(ids) => put.bind_list(ids),
        };
        let listed = tx.execute(put).await?;
        tx.commit().await?;
        Ok(listed)
    }

    /// Documents on a list and their revisions there, by id. At most `limit`.
    pub async fn deletion_list(
        &self,
        kb: &KbId,
        list: JobId,
        limit: u32,
    ) -> StoreResult<Vec<(DocumentId, u64)>> {
        let select = self.sql(
            "select document_id, revision from document_deletions
             where tenant_id = $1 and list_id = $2 and kb_id = $3 order by document_id limit $4",
        );
        let read = |row: &Row| Ok((row.parsed("document_id")?, row.number("revision")?));
        let select = select.bind(list).bind(kb.as_str()).bind(limit);
        self.rows.all("catalog.deletion_list", select, read).await
    }

    /// Takes a document off a list, because it is gone or was uploaded again.
    pub async fn deletion_list_done(&self, list: JobId, id: &DocumentId) -> StoreResult<()> {
        let delete = self
            .sql("delete from document_deletions where tenant_id = $1 and list_id = $2 and document_id = $3");
        let delete = delete.bind(list).bind(id.as_str());
        self.rows.execute("catalog.deletion_list_done", delete).await.map(drop)
    }

    /// Removes a whole list, because no job will work on it.
    pub async fn deletion_list_forget(&self, list: JobId) -> StoreResult<()> {
        let delete = self.sql("delete from document_deletions where tenant_id = $1 and list_id = $2");
        self.rows.execute("catalog.deletion_list_forget", delete.bind(list)).await.map(drop)
    }
}
