//! The mention log: what each chunk says about which entity or relation.

use jobs::DocumentId;
use jobs::tenant::TenantId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::pool::TenantDb;
use super::tx::Tx;
use crate::index::fold::{Breaks, DocumentMentions, EntityMention, GraphKeys, RelationMention};
use crate::model::{Kb, WorkspaceId};
use crate::ports::StoreResult;

/// Mentions sent in one statement.
const BATCH: usize = 2_000;

/// Whose mentions: one document of a tenant.
#[derive(Clone, Copy)]
pub(crate) struct Mentioner<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) workspace: &'a WorkspaceId,
    pub(crate) document: &'a DocumentId,
    /// The document's name.
    pub(crate) name: &'a str,
}

impl TenantDb {
    /// Removes the mention log of a knowledge base.
    pub(crate) async fn mentions_forget(&self, kb: &Kb) -> StoreResult<()> {
        let mut tx = self.tx_bulk("index.mentions_forget").await?;
        for delete in [
            "delete from index_entity_mentions where tenant_id = $1 and workspace = $2",
            "delete from index_relation_mentions where tenant_id = $1 and workspace = $2",
        ] {
            let delete = sqlx::query(delete).bind(self.tenant().as_str());
            tx.execute(delete.bind(kb.workspace.as_str())).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// What the document was about until now. Locks the document first, so that this is still true at the
    /// commit.
    pub(crate) async fn mentioned_before(&mut self, whose: Mentioner<'_>) -> StoreResult<GraphKeys> {
        self.lock_document(whose.workspace, whose.document).await?;
        let (mut keys, mut breaks) = (GraphKeys::default(), Breaks::default());
        let names = sqlx::query(
            "select distinct name from index_entity_mentions \
             where tenant_id = $1 and workspace = $2 and document_id = $3",
        );
        let names = names.bind(whose.tenant.as_str()).bind(whose.workspace.as_str());
        keys.entities.extend(self.all(names.bind(whose.document.as_str()), |row| row.try_get(0)).await?);
        let pairs = sqlx::query(
            "select distinct source, target from index_relation_mentions \
             where tenant_id = $1 and workspace = $2 and document_id = $3",
        );
        let pairs = pairs.bind(whose.tenant.as_str()).bind(whose.workspace.as_str());
        let pair = |row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        for (source, target) in self.all(pairs.bind(whose.document.as_str()), pair).await? {
            breaks.step().await;
            keys.insert_relation(source, target);
        }
        Ok(keys)
    }

    /// Sets the document's mentions to exactly these.
    pub(crate) async fn mentions_replace(
        &mut self,
        whose: Mentioner<'_>,
        mentions: &DocumentMentions,
    ) -> StoreResult<()> {
        for delete in [
            "delete from index_entity_mentions where tenant_id = $1 and workspace = $2 and document_id = $3",
            "delete from index_relation_mentions where tenant_id = $1 and workspace = $2 and document_id = $3",
        ] {
            let delete = sqlx::query(delete).bind(whose.tenant.as_str()).bind(whose.workspace.as_str());
            self.execute(delete.bind(whose.document.as_str())).await?;
        }
        for batch in mentions.entities.chunks(BATCH) {
            self.entity_mentions_insert(whose, batch).await?;
        }
        for batch in mentions.relations.chunks(BATCH) {
            self.relation_mentions_insert(whose, batch).await?;
        }
        Ok(())
    }

    async fn entity_mentions_insert(
        &mut self,
        whose: Mentioner<'_>,
        new: &[EntityMention],
    ) -> StoreResult<()> {
        let sql = sqlx::query(
            "insert into index_entity_mentions \
                 (tenant_id, workspace, document_id, file_name, name, chunk_id, entity_type, description) \
             select $1, $2, $3, $4, * from unnest($5::text[], $6::text[], $7::text[], $8::text[])",
        );
        let sql = sql.bind(whose.tenant.as_str()).bind(whose.workspace.as_str());
        let sql = sql.bind(whose.document.as_str()).bind(whose.name);
        let texts = |of: fn(&EntityMention) -> &str| new.iter().map(of).collect::<Vec<_>>();
        let sql = sql.bind(texts(|new| &new.name)).bind(texts(|new| &new.chunk_id));
        let sql = sql.bind(texts(|new| &new.entity_type)).bind(texts(|new| &new.description));
        self.execute(sql).await.map(drop)
    }

    async fn relation_mentions_insert(
        &mut self,
        whose: Mentioner<'_>,
        new: &[RelationMention],
    ) -> StoreResult<()> {
        let sql = sqlx::query(
            "insert into index_relation_mentions (tenant_id, workspace, document_id, file_name, \
                                                  source, target, chunk_id, keywords, weight_milli, description) \
             select $1, $2, $3, $4, * \
             from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[])",
        );
        let sql = sql.bind(whose.tenant.as_str()).bind(whose.workspace.as_str());
        let sql = sql.bind(whose.document.as_str()).bind(whose.name);
        let texts = |of: fn(&RelationMention) -> &str| new.iter().map(of).collect::<Vec<_>>();
        let sql = sql.bind(texts(|new| &new.source)).bind(texts(|new| &new.target));
        let sql = sql.bind(texts(|new| &new.chunk_id)).bind(texts(|new| &new.keywords));
        let sql = sql.bind(new.iter().map(|new| new.weight_milli).collect::<Vec<_>>());
        self.execute(sql.bind(texts(|new| &new.description))).await.map(drop)
    }
}
