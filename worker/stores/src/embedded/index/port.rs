use std::ops::Range;
use std::sync::Arc;

use jobs::DocumentId;
use jobs::plan::Limits;
use jobs::tenant::TenantId;

use super::{chunks, graph, pages};
use crate::deadline::{BULK, CALL};
use crate::embedded::fault::{Fault, call};
use crate::embedded::file::SqliteFile;
use crate::embedded::tenant_files::TenantFiles;
use crate::index::fold::DocumentMentions;
use crate::model::{
    Chunk, Entity, GraphCounts, GraphDelta, Kb, Mention, OverQuota, Page, Relation, RelationCursor,
};
use crate::ports::{Index, StoreResult};
use crate::scoped::Scope;

/// The indexes of all tenants.
pub(in crate::embedded) struct SqliteIndex {
    files: TenantFiles,
}

impl SqliteIndex {
    pub(in crate::embedded) fn new(files: TenantFiles) -> Self {
        Self { files }
    }
}

impl Scope<dyn Index> for SqliteIndex {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Index> {
        Arc::new(TenantIndex { files: self.files.clone(), tenant: tenant.clone() })
    }
}

struct TenantIndex {
    files: TenantFiles,
    tenant: TenantId,
}

impl TenantIndex {
    async fn file(&self) -> Result<Arc<SqliteFile>, Fault> {
        self.files.of(&self.tenant).await
    }
}

/// Where a document's part of the index is.
pub(super) struct Place<'a> {
    pub(super) workspace: &'a str,
    pub(super) document: &'a str,
    /// The document's name.
    pub(super) file: &'a str,
}

#[async_trait::async_trait]
impl Index for TenantIndex {
    async fn provision(&self, _kb: &Kb) -> StoreResult<()> {
        call("index.provision", CALL, async { self.file().await.map(drop) }).await
    }

    async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()> {
        let place = Place { workspace: kb.workspace.as_str(), document: document.as_str(), file: name };
        let replace = async { chunks::replace(&*self.file().await?, &place, chunks).await };
        call("index.chunks_replace", BULK, replace).await
    }

    async fn chunks(&self, kb: &Kb, document: &DocumentId, orders: Range<u32>) -> StoreResult<Vec<Chunk>> {
        let read = async {
            chunks::read(&*self.file().await?, kb.workspace.as_str(), document.as_str(), orders).await
        };
        call("index.chunks", BULK, read).await
    }

    async fn graph_replace_within(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &[Mention],
        limits: &Limits,
    ) -> StoreResult<Result<GraphDelta, OverQuota>> {
        let place = Place { workspace: kb.workspace.as_str(), document: document.as_str(), file: name };
        let mentions = DocumentMentions::of(mentions).await;
        let replace = async { graph::replace(&*self.file().await?, &place, &mentions, limits).await };
        call("index.graph_replace", BULK, replace).await
    }

    async fn kb_forget(&self, kb: &Kb) -> StoreResult<()> {
        let forget = async { graph::forget(&*self.file().await?, kb.workspace.as_str()).await };
        call("index.kb_forget", BULK, forget).await
    }

    async fn counts(&self, kb: &Kb) -> StoreResult<GraphCounts> {
        let read = async { pages::counts(self.file().await?.read(), kb.workspace.as_str()).await };
        call("index.counts", CALL, read).await
    }

    async fn entities(&self, kb: &Kb, after: Option<&str>, limit: u32) -> StoreResult<Page<Entity>> {
        let read = async { pages::entities(&*self.file().await?, kb.workspace.as_str(), after, limit).await };
        call("index.entities", CALL, read).await
    }

    async fn relations(
        &self,
        kb: &Kb,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>> {
        let read =
            async { pages::relations(&*self.file().await?, kb.workspace.as_str(), after, limit).await };
        call("index.relations", CALL, read).await
    }
}
