use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{KbId, TenantId, TenantStatus};
use jobs::{DocumentId, JobId};

use super::documents::{Change, Listing};
use super::{
    accept, called_off, documents, history, idempotency, rag_settings, schedules, settings, tenants, usage,
};
use crate::deadline::CALL;
use crate::directory::DirectoryNews;
use crate::embedded::fault::call;
use crate::embedded::file::SqliteFile;
use crate::model::{
    Acceptance, Accepted, Derived, Document, DocumentCounts, DocumentFault, DocumentStatus, JobMark,
    JobRecord, Kb, NewSchedule, OverQuota, Page, RagSettings, Redrives, Replay, Schedule, Tenant,
    TenantChange, TenantSettings, Usage, WorkspaceId,
};
use crate::ports::{Catalog, StoreResult};
use crate::scoped::Scope;

/// The catalogs of all tenants.
#[derive(Clone)]
pub(in crate::embedded) struct SqliteCatalog {
    file: Arc<SqliteFile>,
    clock: SharedClock,
    news: DirectoryNews,
}

impl SqliteCatalog {
    pub(in crate::embedded) fn new(file: Arc<SqliteFile>, clock: SharedClock, news: DirectoryNews) -> Self {
        Self { file, clock, news }
    }

    pub(super) fn of(&self, tenant: &TenantId) -> TenantCatalog {
        TenantCatalog {
            file: Arc::clone(&self.file),
            tenant: tenant.clone(),
            clock: Arc::clone(&self.clock),
            news: self.news.clone(),
        }
    }
}

impl Scope<dyn Catalog> for SqliteCatalog {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Catalog> {
        Arc::new(self.of(tenant))
    }
}

/// The catalog of one tenant.
pub(super) struct TenantCatalog {
    pub(super) file: Arc<SqliteFile>,
    pub(super) tenant: TenantId,
    pub(super) clock: SharedClock,
    pub(super) news: DirectoryNews,
}

#[async_trait::async_trait]
impl Catalog for TenantCatalog {
    async fn tenant(&self) -> StoreResult<Option<Tenant>> {
        call("catalog.tenant", CALL, tenants::tenant(self)).await
    }

    async fn tenant_status_move(&self, from: TenantStatus, to: TenantStatus) -> StoreResult<bool> {
        call("catalog.tenant_status_move", CALL, tenants::tenant_status_move(self, from, to)).await
    }

    async fn tenant_settings_put(&self, new: &TenantSettings, revision: u64) -> StoreResult<TenantChange> {
        let put = settings::put(self, new, revision);
        let (change, slug_before) = call("catalog.tenant_settings_put", CALL, put).await?;
        self.news.tenant_put(&self.tenant, slug_before.as_deref(), &new.slug).await;
        Ok(change)
    }

    async fn tenant_settings_applied(&self, revision: u64) -> StoreResult<bool> {
        let applied = settings::applied(&self.file, &self.tenant, revision);
        call("catalog.tenant_settings_applied", CALL, applied).await
    }

    async fn rag_settings(&self) -> StoreResult<Option<(RagSettings, u64)>> {
        call("catalog.rag_settings", CALL, rag_settings::get(self)).await
    }

    async fn rag_settings_put(&self, new: &RagSettings, revision: u64) -> StoreResult<bool> {
        call("catalog.rag_settings_put", CALL, rag_settings::put(self, new, revision)).await
    }

    async fn kb_ensure(
        &self,
        id: &KbId,
        name: &str,
        workspace: &WorkspaceId,
        now: DateTime<Utc>,
    ) -> StoreResult<Kb> {
        call("catalog.kb_ensure", CALL, tenants::kb_ensure(self, id, name, workspace, now)).await
    }

    async fn kb_rename(&self, id: &KbId, name: &str, revision: u64) -> StoreResult<bool> {
        call("catalog.kb_rename", CALL, tenants::kb_rename(self, id, name, revision)).await
    }

    async fn kb(&self, id: &KbId) -> StoreResult<Option<Kb>> {
        let found = call("catalog.kb", CALL, tenants::kb(self, id)).await?;
        Ok(found.filter(|kb| !kb.is_closed))
    }

    async fn kbs(&self) -> StoreResult<Vec<Kb>> {
        call("catalog.kbs", CALL, tenants::kbs(self)).await
    }

    async fn accept(&self, acceptance: &Acceptance, now: DateTime<Utc>) -> StoreResult<Accepted> {
        call("catalog.accept", CALL, accept::accept(self, acceptance, now)).await
    }

    async fn usage(&self, now: DateTime<Utc>) -> StoreResult<Usage> {
        call("catalog.usage", CALL, usage::usage(self, now)).await
    }

    async fn api_calls_add(&self, more: u64, now: DateTime<Utc>) -> StoreResult<u64> {
        call("catalog.api_calls_add", CALL, usage::api_calls_add(self, more, now)).await
    }

    async fn replay(&self, idempotency_key: &str) -> StoreResult<Option<Replay>> {
        call("catalog.replay", CALL, idempotency::replay(self, idempotency_key)).await
    }

    async fn outbox_delete(&self, jobs: &[JobId]) -> StoreResult<()> {
        call("catalog.outbox_delete", CALL, accept::outbox_delete(self, jobs)).await
    }

    async fn outbox_clear(&self) -> StoreResult<u64> {
        call("catalog.outbox_clear", CALL, called_off::outbox_clear(self)).await
    }

    async fn cancel_everything(&self, fault: &DocumentFault, now: DateTime<Utc>) -> StoreResult<u64> {
        let undelivered =
            call("catalog.cancel_everything", CALL, called_off::everything(self, fault, now)).await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(undelivered)
    }

    async fn jobs_mark(&self, jobs: &[JobId], mark: JobMark, now: DateTime<Utc>) -> StoreResult<()> {
        call("catalog.jobs_mark", CALL, called_off::mark(self, jobs, mark, now)).await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(())
    }

    async fn jobs_unmark(&self, jobs: &[JobId]) -> StoreResult<()> {
        call("catalog.jobs_unmark", CALL, called_off::unmark(self, jobs)).await
    }

    async fn flow_put(&self, queue: Option<&str>, flow: Flow) -> StoreResult<bool> {
        call("catalog.flow_put", CALL, settings::flow_put(self, queue, flow)).await
    }

    async fn outbox_job(&self, id: JobId) -> StoreResult<Option<String>> {
        call("catalog.outbox_job", CALL, accept::outbox_job(self, id)).await
    }

    async fn document(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<Document>> {
        call("catalog.document", CALL, documents::document(self, kb, id)).await
    }

    async fn document_revision(&self, kb: &KbId, id: &DocumentId) -> StoreResult<u64> {
        call("catalog.document_revision", CALL, documents::revision(self, kb, id)).await
    }

    async fn documents(
        &self,
        kb: &KbId,
        status: Option<DocumentStatus>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> StoreResult<Page<Document>> {
        let listing = Listing { status, after, limit };
        call("catalog.documents", CALL, documents::documents(self, kb, &listing)).await
    }

    async fn document_digests(
        &self,
        kb: &KbId,
        ids: &[DocumentId],
    ) -> StoreResult<Vec<(DocumentId, String)>> {
        call("catalog.document_digests", CALL, documents::digests(self, kb, ids)).await
    }

    async fn document_totals(&self, kb: &KbId) -> StoreResult<[u64; 4]> {
        call("catalog.document_totals", CALL, documents::totals(self, kb)).await
    }

    async fn document_derived_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        derived: Derived,
        limits: &Limits,
    ) -> StoreResult<Result<bool, OverQuota>> {
        let put = usage::derived_put(self, (kb, id, revision), derived, limits);
        call("catalog.document_derived_put", CALL, put).await
    }

    async fn document_processing(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, chunks): (JobId, u32),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let change = Change { kb, id, revision, now };
        call("catalog.document_processing", CALL, documents::processing(self, &change, job, chunks)).await
    }

    async fn document_processed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        counts: DocumentCounts,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let change = Change { kb, id, revision, now };
        call("catalog.document_processed", CALL, documents::processed(self, &change, counts)).await
    }

    async fn document_failed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let change = Change { kb, id, revision, now };
        call("catalog.document_failed", CALL, documents::failed(self, &change, fault)).await
    }

    async fn documents_failed(
        &self,
        jobs: &[JobId],
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        call("catalog.documents_failed", CALL, called_off::documents_failed(self, jobs, fault, now)).await
    }

    async fn document_pending(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        job: JobId,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let change = Change { kb, id, revision, now };
        call("catalog.document_pending", CALL, documents::pending(self, &change, job)).await
    }

    async fn document_reopen(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, status): (JobId, DocumentStatus),
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let change = Change { kb, id, revision, now };
        call("catalog.document_reopen", CALL, documents::reopen(self, &change, job, status)).await
    }

    async fn job_redriven(&self, jobs: &[JobId], by: &str, now: DateTime<Utc>) -> StoreResult<()> {
        call("catalog.job_redriven", CALL, history::redriven(self, jobs, by, now)).await
    }

    async fn job_redrives(&self, id: JobId) -> StoreResult<Option<Redrives>> {
        call("catalog.job_redrives", CALL, history::redrives(self, id)).await
    }

    async fn history_insert(&self, records: &[JobRecord]) -> StoreResult<()> {
        call("catalog.history_insert", CALL, history::insert(self, records)).await
    }

    async fn history(&self, id: JobId) -> StoreResult<Option<JobRecord>> {
        call("catalog.history", CALL, history::record(self, id)).await
    }

    async fn schedule_put(
        &self,
        schedule: &NewSchedule,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        call("catalog.schedule_put", CALL, schedules::put(self, schedule, limits, now)).await
    }

    async fn schedules(&self, kb: &KbId) -> StoreResult<Vec<Schedule>> {
        call("catalog.schedules", CALL, schedules::list(self, kb)).await
    }

    async fn schedule_delete(&self, kb: &KbId, name: &str) -> StoreResult<bool> {
        call("catalog.schedule_delete", CALL, schedules::delete(self, kb, name)).await
    }
}
