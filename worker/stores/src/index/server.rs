//! The index on PostgreSQL (chunks, mentions) and Neo4j (entities, relations).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jobs::DocumentId;
use jobs::clock::SharedClock;
use jobs::plan::Limits;
use jobs::tenant::TenantId;

use crate::error::StoreError;
use crate::index::fold::DocumentMentions;
use crate::index::neo4j::Neo4j;
use crate::model::{
    Chunk, Entity, GraphCounts, GraphDelta, Kb, Mention, OverQuota, Page, Relation, RelationCursor,
};
use crate::ports::{Index, StoreResult};
use crate::postgres::{Mentioner, Postgres, TenantDb};
use crate::scoped::Scope;

/// How often a replacement is tried that a deadlock or a lost connection undid.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the index of one tenant.
pub(crate) struct ServerIndexes {
    postgres: Postgres,
    neo4j: Arc<Neo4j>,
    clock: SharedClock,
}

impl ServerIndexes {
    pub(crate) fn new(postgres: Postgres, neo4j: Arc<Neo4j>, clock: SharedClock) -> Self {
        Self { postgres, neo4j, clock }
    }
}

impl Scope<dyn Index> for ServerIndexes {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Index> {
        let (neo4j, clock) = (Arc::clone(&self.neo4j), Arc::clone(&self.clock));
        Arc::new(ServerIndex { db: self.postgres.tenant(tenant), neo4j, clock })
    }
}

struct ServerIndex {
    db: TenantDb,
    neo4j: Arc<Neo4j>,
    clock: SharedClock,
}

impl ServerIndex {
    /// The mention log and the graph change together as far as two servers can: the graph is written while
    /// PostgreSQL holds the locks, and the log is committed last. If that commit fails the graph is ahead of
    /// the log, until the same call is made again: it derives everything anew that it touches.
    async fn graph_replace_once(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &DocumentMentions,
        limits: &Limits,
    ) -> StoreResult<Result<(), OverQuota>> {
        let tenant = self.db.tenant();
        let mut tx = self.db.tx_bulk("index.graph_replace").await?;
        let whose = Mentioner { tenant, workspace: &kb.workspace, document, name };
        let mut keys = tx.mentioned_before(whose).await?;
        keys.extend(mentions.keys().await).await;
        tx.lock_names(&kb.workspace, &keys).await?;
        tx.mentions_replace(whose, mentions).await?;
        let change = tx.derive(tenant, &kb.workspace, &keys).await?;
        if let Some(over) = self.neo4j.refused(tenant, &kb.workspace, &change, limits).await? {
            return Ok(Err(over));
        }
        // Whoever gives up from here on leaves a task behind that keeps the locks to its end: Neo4j would carry out
        // the statement that it has already, and do it after whatever the next attempt writes.
        let (neo4j, tenant, kb) = (Arc::clone(&self.neo4j), tenant.clone(), kb.clone());
        let now_s = self.clock.now().timestamp();
        let write = tokio::spawn(async move {
            neo4j.apply(&tenant, &kb, &change, now_s).await?;
            tx.commit().await.map(Ok)
        });
        write.await.unwrap_or_else(|error| Err(StoreError::transient("index.graph_replace", error)))
    }
}

#[async_trait::async_trait]
impl Index for ServerIndex {
    async fn provision(&self, kb: &Kb) -> StoreResult<()> {
        self.neo4j.provision(&kb.workspace).await
    }

    async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        self.db.chunks_replace(kb, document, name, chunks).await
    }

    async fn chunks(&self, kb: &Kb, document: &DocumentId, orders: Range<u32>) -> StoreResult<Vec<Chunk>> {
        self.db.chunks(kb, document, orders).await
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
        let mut attempt = 1;
        loop {
            match self.graph_replace_once(kb, document, name, &mentions, limits).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                done => {
                    let delta = mentions.keys().await.delta();
                    return Ok(done?.map(|()| delta));
                }
            }
        }
    }

    async fn kb_forget(&self, kb: &Kb) -> StoreResult<()> {
        self.db.chunks_forget(kb).await?;
        self.db.mentions_forget(kb).await?;
        self.neo4j.forget(self.db.tenant(), &kb.workspace).await
    }

    async fn counts(&self, kb: &Kb) -> StoreResult<GraphCounts> {
        let chunks = self.db.chunks_count(kb).await?;
        let (entities, relations) = self.neo4j.counts(self.db.tenant(), &kb.workspace).await?;
        Ok(GraphCounts { chunks, entities, relations })
    }

    async fn entities(&self, kb: &Kb, after: Option<&str>, limit: u32) -> StoreResult<Page<Entity>> {
        self.neo4j.entities(self.db.tenant(), &kb.workspace, after, limit).await
    }

    async fn relations(
        &self,
        kb: &Kb,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>> {
        self.neo4j.relations(self.db.tenant(), &kb.workspace, after, limit).await
    }
}
