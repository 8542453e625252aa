//! The index in PostgreSQL or in a tenant's SQLite file: chunks, the mention log, and the graph, unless it is in
//! Neo4j.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jobs::DocumentId;
#[cfg(feature = "neo4j")]
use jobs::clock::SharedClock;
use jobs::plan::{Limits, Quota};
use jobs::tenant::TenantId;

use super::fold::{self, DocumentMentions};
use super::log::{self, GraphChange, Log};
#[cfg(feature = "neo4j")]
use super::neo4j::Neo4j;
use super::provenance;
use super::{
    Chunk, Entity, GraphCounts, GraphDelta, Index, IndexChange, IndexContent, Mention, MentionSource,
    Relation,
};
use crate::catalog::{Row, Sql, Tx, Value, View, sql};
use crate::content_db::ContentDb;
use crate::model::{DocumentCounts, Kb, OverQuota, Served, graph_refused};
use crate::page::{self, Page, RelationCursor};
use crate::ports::StoreResult;
use crate::scoped::Scope;

/// Chunks per statement: of 1,200 tokens each, some megabytes.
const CHUNKS_SENT: usize = 1_000;
/// Entities or relations per statement.
const KEYS_SENT: usize = 1_000;
/// Attempts at a replacement that a deadlock or a lost connection undid.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a replacement.
enum Replaced {
    Done,
    Outdated,
    OverQuota(OverQuota),
}

/// Where entities and relations are stored.
#[derive(Clone)]
pub(crate) enum Graph {
    /// In the same database as the mention log.
    Sql,
    /// In Neo4j.
    #[cfg(feature = "neo4j")]
    Neo4j(Arc<Neo4j>, SharedClock),
}

/// Creates the index port of each tenant.
pub(crate) struct SqlIndex {
    db: ContentDb,
    graph: Graph,
}

impl SqlIndex {
    pub(crate) const fn new(db: ContentDb, graph: Graph) -> Self {
        Self { db, graph }
    }
}

impl Scope<dyn Index> for SqlIndex {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Index> {
        Arc::new(TenantIndex { db: self.db.clone(), graph: self.graph.clone(), tenant: tenant.clone() })
    }
}

struct TenantIndex {
    db: ContentDb,
    graph: Graph,
    tenant: TenantId,
}

impl TenantIndex {
    async fn view(&self, operation: &'static str) -> StoreResult<View> {
        self.db.view(&self.tenant, operation).await
    }

    /// A statement about one workspace of the tenant.
    fn of_workspace<'q>(&self, text: &'static str, kb: &Kb) -> Sql<'q> {
        sql(text).bind(self.tenant.to_string()).bind(kb.workspace.to_string())
    }

    /// Replaces the mentions of a document and the graph that follows from them and, if `content` is given, its chunks.
    async fn replace_once(
        &self,
        kb: &Kb,
        (document, name): (&DocumentId, &str),
        content: Option<&IndexContent<'_>>,
        mentions: &DocumentMentions,
        limits: &Limits,
    ) -> StoreResult<Replaced> {
        const OPERATION: &str = "index.graph_replace";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        if let Some(content) = content
            && !self.chunks_put(&mut tx, kb, content).await?
        {
            return Ok(Replaced::Outdated);
        }
        let change = Log { tx: &mut tx, tenant: &self.tenant, kb, document, name }.replace(mentions).await?;
        let refused = match &self.graph {
            Graph::Sql => match self.graph_apply(&mut tx, kb, &change, limits).await? {
                Some(over) => Err(over),
                None => tx.commit().await.map(Ok)?,
            },
            #[cfg(feature = "neo4j")]
            Graph::Neo4j(neo4j, clock) => {
                let now_s = clock.now().timestamp();
                neo4j.apply_and_commit(&self.tenant, kb, change, limits, (tx, now_s)).await?
            }
        };
        Ok(refused.map_or_else(Replaced::OverQuota, |()| Replaced::Done))
    }

    /// As [`Self::replace_once`], again when a deadlock or a lost connection undid it.
    async fn replace(
        &self,
        kb: &Kb,
        of: (&DocumentId, &str),
        content: Option<&IndexContent<'_>>,
        mentions: &DocumentMentions,
        limits: &Limits,
    ) -> StoreResult<Replaced> {
        let mut attempt = 1;
        loop {
            match self.replace_once(kb, of, content, mentions, limits).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Replaces a document's chunks by those of a revision. Returns `false` when a later revision is there. Holds the
    /// document's lock until the transaction ends.
    async fn chunks_put(&self, tx: &mut Tx, kb: &Kb, content: &IndexContent<'_>) -> StoreResult<bool> {
        let IndexContent { document, name, revision, chunks, .. } = content;
        log::lock_document(tx, kb, document).await?;
        let last = self.of_workspace(
            "select coalesce(max(revision), 0) as last from lightrag_doc_chunks
             where tenant_id = $1 and workspace = $2 and full_doc_id = $3",
            kb,
        );
        let last: u64 = tx.one(last.bind(document.as_str()), |row| row.number("last")).await?;
        if last > *revision {
            return Ok(false);
        }
        let Some(chunks) = chunks else {
            let note = self.of_workspace(
                "update lightrag_doc_chunks set revision = $4
                 where tenant_id = $1 and workspace = $2 and full_doc_id = $3",
                kb,
            );
            tx.execute(note.bind(document.as_str()).bind(*revision)).await?;
            return Ok(true);
        };
        self.chunks_delete(tx, kb, document).await?;
        for batch in chunks.chunks(CHUNKS_SENT) {
            self.chunks_insert(tx, kb, (document, name, Some(*revision)), batch).await?;
        }
        Ok(true)
    }

    async fn chunks_delete(&self, tx: &mut Tx, kb: &Kb, document: &DocumentId) -> StoreResult<()> {
        let delete = self.of_workspace(
            "delete from lightrag_doc_chunks where tenant_id = $1 and workspace = $2 and full_doc_id = $3",
            kb,
        );
        tx.execute(delete.bind(document.as_str())).await.map(drop)
    }

    /// Applies `change` to the graph, unless it would then have more than `limits` allow: then the caller must not
    /// commit. On PostgreSQL concurrent builds of other documents are not seen, so together they can exceed a limit
    /// by what they add.
    async fn graph_apply(
        &self,
        tx: &mut Tx,
        kb: &Kb,
        change: &GraphChange,
        limits: &Limits,
    ) -> StoreResult<Option<OverQuota>> {
        let is_limited =
            limits.maximum(Quota::EntitiesPerKb).is_some() || limits.maximum(Quota::RelationsPerKb).is_some();
        let before =
            if is_limited { tx.one(self.counts_sql(kb), counts).await? } else { GraphCounts::default() };
        self.graph_delete(tx, kb, change).await?;
        for batch in change.entities.chunks(KEYS_SENT) {
            self.entities_put(tx, kb, batch).await?;
        }
        for batch in change.relations.chunks(KEYS_SENT) {
            self.relations_put(tx, kb, batch).await?;
        }
        if !is_limited {
            return Ok(None);
        }
        let after = tx.one(self.counts_sql(kb), counts).await?;
        Ok(graph_refused(limits, &before, &after))
    }

    async fn graph_delete(&self, tx: &mut Tx, kb: &Kb, change: &GraphChange) -> StoreResult<()> {
        for batch in change.relations_gone.chunks(KEYS_SENT) {
            let delete = self.of_workspace(
                "delete from index_relations where tenant_id = $1 and workspace = $2 and (source, target) in (
                     select gone.source, gone.target from {rows $3 as gone (source text, target text)})",
                kb,
            );
            tx.execute(delete.bind_rows(log::pairs_as_rows(batch))).await?;
        }
        for batch in change.entities_gone.chunks(KEYS_SENT) {
            let delete = self.of_workspace(
                "delete from index_entities where tenant_id = $1 and workspace = $2 and name {in $3}",
                kb,
            );
            tx.execute(delete.bind_list(batch)).await?;
        }
        Ok(())
    }

    async fn entities_put(&self, tx: &mut Tx, kb: &Kb, entities: &[Entity]) -> StoreResult<()> {
        let put = self.of_workspace(
            "insert into index_entities
                 (tenant_id, workspace, kb_id, name, entity_type, description, source_id, file_path)
             select $1, $2, $3, new.name, new.entity_type, new.description, new.source_id, new.file_path
             from {rows $4 as new (name text, entity_type text, description text, source_id text, \
                                   file_path text)}
             where true
             on conflict (tenant_id, workspace, name) do update set
                 entity_type = excluded.entity_type, description = excluded.description,
                 source_id = excluded.source_id, file_path = excluded.file_path",
            kb,
        );
        let rows = entities.iter().map(|entity| {
            [
                ("name", Value::from(&entity.name)),
                ("entity_type", Value::from(&entity.entity_type)),
                ("description", Value::from(&entity.description)),
                ("source_id", Value::from(&entity.source_id)),
                ("file_path", Value::from(&entity.file_path)),
            ]
        });
        tx.execute(put.bind(kb.id.as_str()).bind_rows(rows)).await.map(drop)
    }

    async fn relations_put(&self, tx: &mut Tx, kb: &Kb, relations: &[Relation]) -> StoreResult<()> {
        let put = self.of_workspace(
            "insert into index_relations
                 (tenant_id, workspace, kb_id, source, target, keywords, description, weight_milli,
                  source_id, file_path)
             select $1, $2, $3, new.source, new.target, new.keywords, new.description, new.weight_milli,
                    new.source_id, new.file_path
             from {rows $4 as new (source text, target text, keywords text, description text, weight_milli bigint, \
                                   source_id text, file_path text)}
             where true
             on conflict (tenant_id, workspace, source, target) do update set
                 keywords = excluded.keywords, description = excluded.description,
                 weight_milli = excluded.weight_milli, source_id = excluded.source_id,
                 file_path = excluded.file_path",
            kb,
        );
        let rows = relations.iter().map(|relation| {
            [
                ("source", Value::from(&relation.source)),
                ("target", Value::from(&relation.target)),
                ("keywords", Value::from(&relation.keywords)),
                ("description", Value::from(&relation.description)),
                ("weight_milli", Value::from(fold::milli(relation.weight))),
                ("source_id", Value::from(&relation.source_id)),
                ("file_path", Value::from(&relation.file_path)),
            ]
        });
        tx.execute(put.bind(kb.id.as_str()).bind_rows(rows)).await.map(drop)
    }

    async fn chunks_insert(
        &self,
        tx: &mut Tx,
        kb: &Kb,
        (document, name, revision): (&DocumentId, &str, Option<u64>),
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        let insert = self.of_workspace(
            "insert into lightrag_doc_chunks
                 (tenant_id, workspace, kb_id, full_doc_id, file_path, revision, id, chunk_order_index, tokens,
                  content)
             select $1, $2, $3, $4, $5, $6, new.id, new.place, new.tokens, new.content
             from {rows $7 as new (id text, place integer, tokens integer, content text)}",
            kb,
        );
        let rows = chunks.iter().map(|chunk| {
            [
                ("id", Value::from(document.chunk_id(chunk.order))),
                ("place", Value::from(int(chunk.order))),
                ("tokens", Value::from(int(chunk.tokens))),
                ("content", Value::from(&chunk.content)),
            ]
        });
        let insert = insert.bind(kb.id.as_str()).bind(document.as_str()).bind(name);
        let revision = revision.map(|revision| i64::try_from(revision).unwrap_or(i64::MAX));
        let insert = insert.bind(Value::Number(revision)).bind_rows(rows);
        tx.execute(insert).await.map(drop)
    }

    fn counts_sql<'q>(&self, kb: &Kb) -> Sql<'q> {
        self.of_workspace(
            "select
                 (select count(*) from lightrag_doc_chunks where tenant_id = $1 and workspace = $2) as chunks,
                 (select count(*) from index_entities where tenant_id = $1 and workspace = $2) as entities,
                 (select count(*) from index_relations where tenant_id = $1 and workspace = $2) as relations",
            kb,
        )
    }
}

#[async_trait::async_trait]
impl Index for TenantIndex {
    async fn provision(&self, kb: &Kb) -> StoreResult<()> {
        self.view("index.provision").await?;
        match &self.graph {
            Graph::Sql => {
                let _ = kb;
                Ok(())
            }
            #[cfg(feature = "neo4j")]
            Graph::Neo4j(neo4j, _) => neo4j.provision(&kb.workspace).await,
        }
    }

    async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        const OPERATION: &str = "index.chunks_replace";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        // Two concurrent replacements of the same document's chunks would both insert them.
        log::lock_document(&mut tx, kb, document).await?;
        self.chunks_delete(&mut tx, kb, document).await?;
        for batch in chunks.chunks(CHUNKS_SENT) {
            self.chunks_insert(&mut tx, kb, (document, name, None), batch).await?;
        }
        tx.commit().await
    }

    async fn chunks(&self, kb: &Kb, document: &DocumentId, orders: Range<u32>) -> StoreResult<Vec<Chunk>> {
        const OPERATION: &str = "index.chunks";
        let find = self.of_workspace(
            "select chunk_order_index, tokens, content from lightrag_doc_chunks
             where tenant_id = $1 and workspace = $2 and full_doc_id = $3
               and chunk_order_index >= $4 and chunk_order_index < $5 order by chunk_order_index",
            kb,
        );
        let find = find.bind(document.as_str()).bind(orders.start).bind(orders.end);
        let read = |row: &Row| {
            Ok(Chunk {
                order: row.number("chunk_order_index")?,
                tokens: row.number("tokens")?,
                content: row.text("content")?,
            })
        };
        self.view(OPERATION).await?.all(OPERATION, find, read).await
    }

    async fn graph_replace_within(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &[Mention],
        limits: &Limits,
    ) -> StoreResult<Result<GraphDelta, OverQuota>> {
        let mentions = DocumentMentions::of(mentions).await;
        let done = self.replace(kb, (document, name), None, &mentions, limits).await?;
        let delta = mentions.keys().await.delta();
        Ok(match done {
            Replaced::OverQuota(over) => Err(over),
            Replaced::Done | Replaced::Outdated => Ok(delta),
        })
    }

    async fn document_replace(
        &self,
        kb: &Kb,
        content: &IndexContent<'_>,
        limits: &Limits,
    ) -> StoreResult<IndexChange> {
        let mentions = DocumentMentions::of(content.mentions).await;
        let of = (content.document, content.name);
        Ok(match self.replace(kb, of, Some(content), &mentions, limits).await? {
            Replaced::Done => IndexChange::Done(mentions.keys().await.delta()),
            Replaced::Outdated => IndexChange::Outdated,
            Replaced::OverQuota(over) => IndexChange::OverQuota(over),
        })
    }

    async fn document_served(&self, kb: &Kb, document: &DocumentId) -> StoreResult<Option<Served>> {
        const OPERATION: &str = "index.document_served";
        let find = self.of_workspace(
            "select max(revision) as revision, count(*) as chunks,
                 (select count(*) from (
                     select name from index_entity_mentions
                     where tenant_id = $1 and workspace = $2 and document_id = $3
                     union select source from index_relation_mentions
                     where tenant_id = $1 and workspace = $2 and document_id = $3
                     union select target from index_relation_mentions
                     where tenant_id = $1 and workspace = $2 and document_id = $3) as names) as entities,
                 (select count(*) from (
                     select distinct source, target from index_relation_mentions
                     where tenant_id = $1 and workspace = $2 and document_id = $3) as pairs) as relations
             from lightrag_doc_chunks where tenant_id = $1 and workspace = $2 and full_doc_id = $3",
            kb,
        );
        let read = |row: &Row| {
            let revision: Option<u64> = row.number_or_null("revision")?;
            let counts = DocumentCounts {
                chunks: row.number("chunks")?,
                entities: row.number("entities")?,
                relations: row.number("relations")?,
            };
            Ok(revision.map(|revision| Served { revision, original: None, counts }))
        };
        self.view(OPERATION).await?.one(OPERATION, find.bind(document.as_str()), read).await
    }

    async fn kb_forget(&self, kb: &Kb) -> StoreResult<()> {
        const OPERATION: &str = "index.kb_forget";
        let mut tx = self.view(OPERATION).await?.write_bulk(OPERATION).await?;
        for delete in [
            "delete from index_relation_mentions where tenant_id = $1 and workspace = $2",
            "delete from index_entity_mentions where tenant_id = $1 and workspace = $2",
            "delete from index_relations where tenant_id = $1 and workspace = $2",
            "delete from index_entities where tenant_id = $1 and workspace = $2",
            "delete from lightrag_doc_chunks where tenant_id = $1 and workspace = $2",
        ] {
            tx.execute(self.of_workspace(delete, kb)).await?;
        }
        tx.commit().await?;
        match &self.graph {
            Graph::Sql => Ok(()),
            #[cfg(feature = "neo4j")]
            Graph::Neo4j(neo4j, _) => neo4j.forget(&self.tenant, &kb.workspace).await,
        }
    }

    async fn counts(&self, kb: &Kb) -> StoreResult<GraphCounts> {
        const OPERATION: &str = "index.counts";
        let found = self.view(OPERATION).await?.one(OPERATION, self.counts_sql(kb), counts).await?;
        match &self.graph {
            Graph::Sql => Ok(found),
            #[cfg(feature = "neo4j")]
            Graph::Neo4j(neo4j, _) => {
                let (entities, relations) = neo4j.counts(&self.tenant, &kb.workspace).await?;
                Ok(GraphCounts { entities, relations, ..found })
            }
        }
    }

    async fn entities(&self, kb: &Kb, after: Option<&str>, limit: u32) -> StoreResult<Page<Entity>> {
        const OPERATION: &str = "index.entities";
        #[cfg(feature = "neo4j")]
        if let Graph::Neo4j(neo4j, _) = &self.graph {
            return neo4j.entities(&self.tenant, &kb.workspace, after, limit).await;
        }
        let find = self.of_workspace(
            "select name, entity_type, description, source_id, file_path from index_entities
             where tenant_id = $1 and workspace = $2 and name > $3 order by name limit $4",
            kb,
        );
        // No name is empty, so all of them sort behind the empty one.
        let find = find.bind(after.unwrap_or_default()).bind(page::rows_for(limit));
        let found = self.view(OPERATION).await?.all(OPERATION, find, entity).await?;
        Ok(page::cut(found, limit, |entity| entity.name.clone()))
    }

    async fn entity(&self, kb: &Kb, name: &str) -> StoreResult<Option<Entity>> {
        const OPERATION: &str = "index.entity";
        #[cfg(feature = "neo4j")]
        if let Graph::Neo4j(neo4j, _) = &self.graph {
            return neo4j.entity(&self.tenant, &kb.workspace, name).await;
        }
        let find = self.of_workspace(
            "select name, entity_type, description, source_id, file_path from index_entities
             where tenant_id = $1 and workspace = $2 and name = $3",
            kb,
        );
        self.view(OPERATION).await?.optional(OPERATION, find.bind(name), entity).await
    }

    async fn entity_sources(
        &self,
        kb: &Kb,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<MentionSource>> {
        const OPERATION: &str = "index.entity_sources";
        let find = provenance::sources(&self.tenant, kb, name, after, page::rows_for(limit));
        let found = self.view(OPERATION).await?.all(OPERATION, find, provenance::read_source).await?;
        Ok(page::cut(found, limit, |source| source.chunk_id.clone()))
    }

    async fn chunk_mentions(&self, kb: &Kb, document: &DocumentId, order: u32) -> StoreResult<Vec<Mention>> {
        const OPERATION: &str = "index.chunk_mentions";
        let [entities, relations] = provenance::of_chunk(&self.tenant, kb, document, order);
        let mut tx = self.view(OPERATION).await?.read(OPERATION).await?;
        let mut mentions = tx.all(entities, provenance::read_entity).await?;
        mentions.extend(tx.all(relations, provenance::read_relation).await?);
        tx.commit().await?;
        Ok(mentions)
    }

    async fn relations(
        &self,
        kb: &Kb,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>> {
        const OPERATION: &str = "index.relations";
        #[cfg(feature = "neo4j")]
        if let Graph::Neo4j(neo4j, _) = &self.graph {
            return neo4j.relations(&self.tenant, &kb.workspace, after, limit).await;
        }
        let (source, target) = after.map_or(("", ""), |after| (after.source.as_str(), after.target.as_str()));
        let find = self.of_workspace(
            "select source, target, keywords, description, weight_milli, source_id, file_path from index_relations
             where tenant_id = $1 and workspace = $2 and (source, target) > ($3, $4)
             order by source, target limit $5",
            kb,
        );
        let find = find.bind(source).bind(target).bind(page::rows_for(limit));
        let found = self.view(OPERATION).await?.all(OPERATION, find, relation).await?;
        Ok(page::cut(found, limit, |relation: &Relation| relation.cursor().to_string()))
    }
}

fn counts(row: &Row) -> sqlx::Result<GraphCounts> {
    Ok(GraphCounts {
        chunks: row.number("chunks")?,
        entities: row.number("entities")?,
        relations: row.number("relations")?,
    })
}

fn entity(row: &Row) -> sqlx::Result<Entity> {
    Ok(Entity {
        name: row.text("name")?,
        entity_type: row.text("entity_type")?,
        description: row.text("description")?,
        source_id: row.text("source_id")?,
        file_path: row.text("file_path")?,
    })
}

fn relation(row: &Row) -> sqlx::Result<Relation> {
    Ok(Relation {
        source: row.text("source")?,
        target: row.text("target")?,
        keywords: row.text("keywords")?,
        description: row.text("description")?,
        weight: fold::weight(row.number("weight_milli")?),
        source_id: row.text("source_id")?,
        file_path: row.text("file_path")?,
    })
}

/// `LightRAG`'s columns are 32 bits wide and signed.
fn int(count: u32) -> i64 {
    count.min(i32::MAX.unsigned_abs()).into()
}
