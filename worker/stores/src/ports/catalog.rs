use chrono::{DateTime, Utc};
use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{KbId, TenantStatus};
use jobs::{DocumentId, JobId};

use super::{ApiKeys, Members, StoreResult};
use crate::model::{
    Acceptance, Accepted, Derived, Document, DocumentCounts, DocumentFault, DocumentStatus, JobMark,
    JobRecord, Kb, NewSchedule, OverQuota, Page, RagSettings, Redrives, Replay, Schedule, TenantChange,
    TenantSettings, Usage, WorkspaceId,
};

/// The tenant's rows in the catalog: what exists, what was asked for, and what became of it.
///
/// Errors of every method: [`crate::StoreError::Transient`] when the server is away, `Permanent` when it
/// refuses.
#[async_trait::async_trait]
pub trait Catalog: Members + ApiKeys {
    /// The tenant itself; `None` when it is gone.
    async fn tenant(&self) -> StoreResult<Option<crate::model::Tenant>>;

    /// Moves the tenant to `to` if it is in `from`. Returns whether it was.
    async fn tenant_status_move(&self, from: TenantStatus, to: TenantStatus) -> StoreResult<bool>;

    /// Replaces the settings of the tenant if `revision` is still theirs.
    async fn tenant_settings_put(
        &self,
        settings: &TenantSettings,
        revision: u64,
    ) -> StoreResult<TenantChange>;

    /// Notes that the queue knows the settings of `revision`. Returns whether they are still the tenant's; if not,
    /// nothing changes.
    async fn tenant_settings_applied(&self, revision: u64) -> StoreResult<bool>;

    /// How the tenant wants its documents read, and the revision of that; `None` when the tenant is gone.
    async fn rag_settings(&self) -> StoreResult<Option<(RagSettings, u64)>>;

    /// Replaces these settings if `revision` is still theirs. Returns whether it was.
    async fn rag_settings_put(&self, settings: &RagSettings, revision: u64) -> StoreResult<bool>;

    /// Makes a knowledge base unless it exists, and returns it as it is.
    async fn kb_ensure(
        &self,
        id: &KbId,
        name: &str,
        workspace: &WorkspaceId,
        now: DateTime<Utc>,
    ) -> StoreResult<Kb>;

    /// Gives a knowledge base another name if `revision` is still its own. Returns whether it was.
    async fn kb_rename(&self, id: &KbId, name: &str, revision: u64) -> StoreResult<bool>;

    /// One knowledge base. One that is being deleted is not there, nor in lists.
    async fn kb(&self, id: &KbId) -> StoreResult<Option<Kb>>;

    /// All knowledge bases, by id.
    async fn kbs(&self) -> StoreResult<Vec<Kb>>;

    /// Writes everything that accepting a request means, or nothing.
    async fn accept(&self, acceptance: &Acceptance, now: DateTime<Utc>) -> StoreResult<Accepted>;

    /// How much the tenant has now, and did in the day and month (UTC) of `now`.
    async fn usage(&self, now: DateTime<Utc>) -> StoreResult<Usage>;

    /// Counts requests for the month (UTC) of `now`; 0 only looks. Returns how many there were in it, also those
    /// that other processes counted.
    async fn api_calls_add(&self, more: u64, now: DateTime<Utc>) -> StoreResult<u64>;

    /// The answer given before under an idempotency key.
    async fn replay(&self, idempotency_key: &str) -> StoreResult<Option<Replay>>;

    /// Takes jobs out of the outbox because the queue has them.
    async fn outbox_delete(&self, jobs: &[JobId]) -> StoreResult<()>;

    /// Takes all of the tenant's jobs out of the outbox, because its work is called off. How many there were.
    async fn outbox_clear(&self) -> StoreResult<u64>;

    /// Cancels all of the tenant's work that was made before `now`, at once: it does not run any more wherever it is,
    /// what was not delivered is forgotten, and documents that are on their way have failed. How many jobs were not
    /// delivered.
    async fn cancel_everything(&self, fault: &DocumentFault, now: DateTime<Utc>) -> StoreResult<u64>;

    /// Notes that jobs are cancelled, or shall run although they were; the last mark counts.
    async fn jobs_mark(&self, jobs: &[JobId], mark: JobMark, now: DateTime<Utc>) -> StoreResult<()>;

    /// Forgets marks of jobs.
    async fn jobs_unmark(&self, jobs: &[JobId]) -> StoreResult<()>;

    /// Decides whether the tenant's jobs of `queue`, or of all queues, flow. Whether there is the tenant.
    async fn flow_put(&self, queue: Option<&str>, flow: Flow) -> StoreResult<bool>;

    /// The signed envelope of a job that the queue may not have yet.
    async fn outbox_job(&self, id: JobId) -> StoreResult<Option<String>>;

    /// One document. One that is being deleted is not there, nor in lists and totals.
    async fn document(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<Document>>;

    /// The revision that the next upload of a document follows: that of the document, also while it is being
    /// deleted, and else one as high as any document of the tenant had that is gone.
    async fn document_revision(&self, kb: &KbId, id: &DocumentId) -> StoreResult<u64>;

    /// Documents by id, beginning after `after`, of one status if given. At most `limit` (1 to 1,000).
    async fn documents(
        &self,
        kb: &KbId,
        status: Option<DocumentStatus>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> StoreResult<Page<Document>>;

    /// The digests of the originals of those of `ids` that are there, a few hundred at most. A document that is being
    /// deleted is not.
    async fn document_digests(&self, kb: &KbId, ids: &[DocumentId])
    -> StoreResult<Vec<(DocumentId, String)>>;

    /// How many documents there are of each status, in the order of [`DocumentStatus::ALL`].
    async fn document_totals(&self, kb: &KbId) -> StoreResult<[u64; 4]>;

    /// Counts what is made of revision `revision` of a document towards the tenant's storage, in place of what was
    /// counted before, unless the tenant would then store more than `limits` allow: then nothing changes, nor when
    /// that is not the document's revision. Returns whether it is.
    async fn document_derived_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        derived: Derived,
        limits: &Limits,
    ) -> StoreResult<Result<bool, OverQuota>>;

    /// Marks revision `revision` of a document as being processed, with the number of its chunks, by the jobs that
    /// `job` leaves behind. Returns whether that is (still) the document's revision; if not, nothing changes.
    async fn document_processing(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, chunks): (JobId, u32),
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Marks revision `revision` as processed. Returns as [`Catalog::document_processing`].
    async fn document_processed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        counts: DocumentCounts,
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Marks revision `revision` as failed. Returns as [`Catalog::document_processing`].
    async fn document_failed(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Marks the documents as failed that one of `jobs` was to ingest and that are still on their way. How many
    /// there were.
    async fn documents_failed(
        &self,
        jobs: &[JobId],
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<u64>;

    /// Puts a document back to pending under the same revision with a new job: how a reindex begins.
    /// Returns whether the revision is still current; if not, nothing changes.
    async fn document_pending(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        job: JobId,
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Puts a document that failed back to `status` under the same revision, for `job` to continue the work. Of
    /// several jobs that ask for it, one gets it, and gets it again until the document is processed. Returns whether
    /// `job` has it.
    async fn document_reopen(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        (job, status): (JobId, DocumentStatus),
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Stores how jobs ended. A job that is known already keeps its first record, unless it was discarded and started
    /// again since.
    async fn history_insert(&self, records: &[JobRecord]) -> StoreResult<()>;

    /// How a job ended, if it ended lately.
    async fn history(&self, id: JobId) -> StoreResult<Option<JobRecord>>;

    /// Notes that jobs were started again after they had been given up.
    async fn job_redriven(&self, jobs: &[JobId], by: &str, now: DateTime<Utc>) -> StoreResult<()>;

    /// How often a job was started again, if it was lately.
    async fn job_redrives(&self, id: JobId) -> StoreResult<Option<Redrives>>;

    /// Makes or replaces a schedule; or says which of `limits` stands against one more, and changes nothing.
    async fn schedule_put(
        &self,
        schedule: &NewSchedule,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>>;

    /// The schedules of a knowledge base, by name.
    async fn schedules(&self, kb: &KbId) -> StoreResult<Vec<Schedule>>;

    /// Removes a schedule. Returns whether there was one.
    async fn schedule_delete(&self, kb: &KbId, name: &str) -> StoreResult<bool>;
}
