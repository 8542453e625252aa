use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{KbId, TenantId, TenantStatus};
use jobs::{DocumentId, JobId};

use super::document::Becomes;
use super::{
    accept, called_off, document, history, idempotency, rag_settings, schedule, settings, tenant, usage,
};
use crate::directory::DirectoryNews;
use crate::model::{
    Acceptance, Accepted, Derived, Document, DocumentCounts, DocumentFault, DocumentStatus, JobMark,
    JobRecord, Kb, NewSchedule, OverQuota, Page, RagSettings, Redrives, Replay, Schedule, Tenant,
    TenantChange, TenantSettings, Usage, WorkspaceId,
};
use crate::ports::{Catalog, StoreResult};
use crate::postgres::pool::{Postgres, TenantDb};
use crate::scoped::Scope;

/// Makes the catalog of one tenant.
#[derive(Clone)]
pub(crate) struct PgCatalogs {
    postgres: Postgres,
    news: DirectoryNews,
    clock: SharedClock,
}

impl PgCatalogs {
    pub(crate) fn new(postgres: Postgres, news: DirectoryNews, clock: SharedClock) -> Self {
        Self { postgres, news, clock }
    }

    pub(super) fn of(&self, tenant: &TenantId) -> PgCatalog {
        let (news, clock) = (self.news.clone(), Arc::clone(&self.clock));
        PgCatalog { db: self.postgres.tenant(tenant), news, clock }
    }
}

impl Scope<dyn Catalog> for PgCatalogs {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Catalog> {
        Arc::new(self.of(tenant))
    }
}

/// The catalog of one tenant.
pub(super) struct PgCatalog {
    pub(super) db: TenantDb,
    pub(super) news: DirectoryNews,
    clock: SharedClock,
}

impl PgCatalog {
    /// Passes `outcome` on after telling that the directory's answers about the tenant changed.
    pub(super) async fn announced<T>(&self, outcome: T) -> T {
        self.news.tenant_changed(self.db.tenant()).await;
        outcome
    }
}

#[async_trait::async_trait]
impl Catalog for PgCatalog {
    async fn tenant(&self) -> StoreResult<Option<Tenant>> {
        tenant::tenant(&self.db).await
    }

    async fn tenant_status_move(&self, from: TenantStatus, to: TenantStatus) -> StoreResult<bool> {
        let moved = tenant::status_move(&self.db, from, to).await?;
        if moved { Ok(self.announced(moved).await) } else { Ok(moved) }
    }

    async fn tenant_settings_put(&self, new: &TenantSettings, revision: u64) -> StoreResult<TenantChange> {
        let (change, slug_before) = settings::put(&self.db, new, revision).await?;
        self.news.tenant_put(self.db.tenant(), slug_before.as_deref(), &new.slug).await;
        Ok(change)
    }

    async fn tenant_settings_applied(&self, revision: u64) -> StoreResult<bool> {
        settings::applied(&self.db, revision).await
    }

    async fn rag_settings(&self) -> StoreResult<Option<(RagSettings, u64)>> {
        rag_settings::get(&self.db).await
    }

    async fn rag_settings_put(&self, new: &RagSettings, revision: u64) -> StoreResult<bool> {
        rag_settings::put(&self.db, new, revision).await
    }

    async fn kb_ensure(
        &self,
        id: &KbId,
        name: &str,
        workspace: &WorkspaceId,
        now: DateTime<Utc>,
    ) -> StoreResult<Kb> {
        let kb = tenant::kb_ensure(&self.db, id, name, workspace, now).await?;
        Ok(self.announced(kb).await)
    }

    async fn kb_rename(&self, id: &KbId, name: &str, revision: u64) -> StoreResult<bool> {
        let current = tenant::kb_rename(&self.db, id, name, revision).await?;
        Ok(self.announced(current).await)
    }

    async fn kb(&self, id: &KbId) -> StoreResult<Option<Kb>> {
        Ok(tenant::kb(&self.db, id).await?.filter(|kb| !kb.is_closed))
    }

    async fn kbs(&self) -> StoreResult<Vec<Kb>> {
        tenant::kbs(&self.db).await
    }

    async fn accept(&self, acceptance: &Acceptance, now: DateTime<Utc>) -> StoreResult<Accepted> {
        let accepted = accept::accept(&self.db, acceptance, now).await?;
        if accepted != Accepted::New {
            return Ok(accepted);
        }
        if acceptance.tenant.is_some() || acceptance.founder.is_some() {
            self.news.tenant_made(self.db.tenant()).await;
        } else if acceptance.kb.is_some() || acceptance.kb_close.is_some() {
            self.news.tenant_changed(self.db.tenant()).await;
        }
        Ok(accepted)
    }

    async fn usage(&self, now: DateTime<Utc>) -> StoreResult<Usage> {
        usage::usage(&self.db, now).await
    }

    async fn api_calls_add(&self, more: u64, now: DateTime<Utc>) -> StoreResult<u64> {
        usage::api_calls_add(&self.db, more, now).await
    }

    async fn replay(&self, idempotency_key: &str) -> StoreResult<Option<Replay>> {
        idempotency::replay(&self.db, idempotency_key, self.clock.now()).await
    }

    async fn outbox_delete(&self, jobs: &[JobId]) -> StoreResult<()> {
        accept::outbox_delete(&self.db, jobs).await
    }

    async fn outbox_clear(&self) -> StoreResult<u64> {
        called_off::outbox_clear(&self.db).await
    }

    async fn cancel_everything(&self, fault: &DocumentFault, now: DateTime<Utc>) -> StoreResult<u64> {
        let undelivered = called_off::everything(&self.db, fault, now).await?;
        Ok(self.announced(undelivered).await)
    }

    async fn jobs_mark(&self, jobs: &[JobId], mark: JobMark, now: DateTime<Utc>) -> StoreResult<()> {
        called_off::mark(&self.db, jobs, mark, now).await?;
        self.announced(()).await;
        Ok(())
    }

    async fn jobs_unmark(&self, jobs: &[JobId]) -> StoreResult<()> {
        called_off::unmark(&self.db, jobs).await
    }

    async fn flow_put(&self, queue: Option<&str>, flow: Flow) -> StoreResult<bool> {
        settings::flow_put(&self.db, queue, flow).await
    }

    async fn outbox_job(&self, id: JobId) -> StoreResult<Option<String>> {
        accept::outbox_job(&self.db, id).await
    }

    async fn document(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<Document>> {
        document::document(&self.db, kb, id).await
    }

    async fn document_revision(&self, kb: &KbId, id: &DocumentId) -> StoreResult<u64> {
        document::revision(&self.db, kb, id).await
    }

    async fn documents(
        &self,
        kb: &KbId,
        status: Option<DocumentStatus>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> StoreResult<Page<Document>> {
        document::documents(&self.db, kb, status, after, limit).await
    }

    async fn document_digests(
        &self,
        kb: &KbId,
        ids: &[DocumentId],
    ) -> StoreResult<Vec<(DocumentId, String)>> {
        document::digests(&self.db, kb, ids).await
    }

    async fn document_totals(&self, kb: &KbId) -> StoreResult<[u64; 4]> {
        document::totals(&self.db, kb).await
    }

    async fn document_derived_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        derived: Derived,
        limits: &Limits,
    ) -> StoreResult<Result<bool, OverQuota>> {
        usage::derived_put(&self.db, (kb, id, revision), derived, limits).await
    }

    async fn document_processing(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, chunks): (JobId, u32),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        document::becomes(&self.db, kb, id, revision, &Becomes::Processing { job, chunks }, now).await
    }

    async fn document_processed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        counts: DocumentCounts,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        document::becomes(&self.db, kb, id, revision, &Becomes::Processed { counts }, now).await
    }

    async fn document_failed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        document::becomes(&self.db, kb, id, revision, &Becomes::Failed { fault }, now).await
    }

    async fn documents_failed(
        &self,
        jobs: &[JobId],
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        called_off::documents_failed(&self.db, jobs, fault, now).await
    }

    async fn document_pending(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        job: JobId,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        document::becomes(&self.db, kb, id, revision, &Becomes::Pending { job }, now).await
    }

    async fn document_reopen(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, status): (JobId, DocumentStatus),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        document::becomes(&self.db, kb, id, revision, &Becomes::Reopened { job, status }, now).await
    }

    async fn job_redriven(&self, jobs: &[JobId], by: &str, now: DateTime<Utc>) -> StoreResult<()> {
        history::redriven(&self.db, jobs, by, now).await
    }

    async fn job_redrives(&self, id: JobId) -> StoreResult<Option<Redrives>> {
        history::redrives(&self.db, id).await
    }

    async fn history_insert(&self, records: &[JobRecord]) -> StoreResult<()> {
        history::insert(&self.db, records, self.clock.now()).await
    }

    async fn history(&self, id: JobId) -> StoreResult<Option<JobRecord>> {
        history::record(&self.db, id).await
    }

    async fn schedule_put(
        &self,
        new: &NewSchedule,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        let stored = schedule::put(&self.db, new, limits, now).await;
        self.announced(stored).await
    }

    async fn schedules(&self, kb: &KbId) -> StoreResult<Vec<Schedule>> {
        schedule::schedules(&self.db, kb).await
    }

    async fn schedule_delete(&self, kb: &KbId, name: &str) -> StoreResult<bool> {
        let gone = schedule::delete(&self.db, kb, name).await?;
        Ok(self.announced(gone).await)
    }
}
