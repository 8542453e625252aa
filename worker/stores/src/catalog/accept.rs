//! Accepting a request: all of its writes in one transaction, and what an upload has to know before.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::{Limits, Quota};
use jobs::tenant::{Role, TenantStatus};
use jobs::{BatchId, JobId};

use super::identities::user_insert;
use super::{Catalog, Reader, Row, Sql, Tx, Value};
use crate::error::StoreError;
use crate::model::{
    self, Acceptance, Accepted, Counter, Event, Growth, Idempotency, KnownDocument, NewDocument, NewTenant,
    OverQuota, Replay, UploadQuestion, UploadView, Usage, User,
};
use crate::ports::StoreResult;

/// How long the answer to a request is given again under its idempotency key.
pub(super) const IDEMPOTENCY_KEPT: TimeDelta = TimeDelta::hours(24);
/// How many answers that are too old one request removes: more than it adds.
const IDEMPOTENCY_PRUNED: i64 = 20;

/// Quotas that an acceptance checks by counting rows: documents and their bytes.
const DOCUMENTS: [Quota; 2] = [Quota::MaxDocuments, Quota::StorageBytes];
pub(super) const COUNTED: [Quota; 3] = [Quota::MaxDocuments, Quota::StorageBytes, Quota::Kbs];

/// The transaction of one acceptance.
struct Accepting<'a> {
    catalog: &'a Catalog,
    tx: Tx,
    now: DateTime<Utc>,
}

impl Catalog {
    /// What there is of an upload already, and what the tenant uses, in one read, before its originals are stored.
    ///
    /// [`Catalog::accept`] checks everything again in its transaction. The view saves work: a repeated request gets its
    /// answer at once, and a tenant at its quota cannot fill the blob store.
    pub async fn upload_view(
        &self,
        asked: &UploadQuestion<'_>,
        now: DateTime<Utc>,
    ) -> StoreResult<UploadView> {
        let rows = asked.documents.iter().enumerate();
        let rows = rows.map(|(at, id)| [("at", Value::from(at as u64)), ("id", id.as_str().into())]);
        let select = self.sql(UPLOAD_VIEW).bind(asked.kb.as_str()).bind_rows(rows).bind(asked.key);
        let select = select.bind(now - IDEMPOTENCY_KEPT).bind(Counter::Jobs.period(now));
        let select = select.bind(counts_documents(asked.limits)).bind(asked.batch.map(BatchId::uuid));
        let found = self.rows.all("catalog.upload_view", select, read_known).await?;
        let mut view = UploadView::default();
        for (known, replay, usage, batch_cancelled) in found {
            view.batch_cancelled = batch_cancelled;
            view.documents.push(known);
            view.replay = view.replay.or(replay);
            view.usage = usage;
        }
        Ok(view)
    }

    /// Writes the request's tenant, knowledge base, documents, jobs and idempotent answer in one transaction, or
    /// nothing. On any result but [`Accepted::New`] nothing was written.
    pub async fn accept(&self, acceptance: &Acceptance, now: DateTime<Utc>) -> StoreResult<Accepted> {
        let tx = self.rows.write("catalog.accept").await?;
        let mut accepting = Accepting { catalog: self, tx, now };
        if let Some(refused) = accepting.write(acceptance).await? {
            return Ok(refused);
        }
        accepting.tx.commit().await?;
        if acceptance.kb_close.is_some() {
            self.tell(Event::reset(now, "a knowledge base was closed"));
        }
        // After the commit: earlier, another process could cache the old rows again.
        if acceptance.tenant.is_some() || acceptance.founder.is_some() {
            self.invalidation.tenant_made(&self.tenant).await;
        } else if acceptance.kb.is_some() || acceptance.kb_close.is_some() {
            self.invalidation.tenant_changed(&self.tenant).await;
        }
        Ok(Accepted::New)
    }

    /// The epoch of a closed tenant; `None` while it is open. Locks the row, so that the answer stays true until the
    /// transaction ends: as [`Catalog::lock`] does if `to_count`.
    async fn closed_epoch(&self, tx: &mut Tx, to_count: bool) -> StoreResult<Option<u64>> {
        let select = if to_count {
            "select epoch, status from tenants where tenant_id = $1 {for no key update}"
        } else {
            "select epoch, status from tenants where tenant_id = $1 {for share}"
        };
        let read = |row: &Row| {
            let is_closed = row.parsed::<TenantStatus>("status")? == TenantStatus::Deprovisioning;
            Ok(if is_closed { Some(row.number("epoch")?) } else { None })
        };
        Ok(tx.optional(self.sql(select), read).await?.flatten())
    }

    /// What an acceptance is checked against, in one statement. The transaction holds the tenant's lock if something is
    /// counted, and from now on the knowledge base's, so that it cannot be closed before the transaction ends.
    async fn checked(
        &self,
        tx: &mut Tx,
        acceptance: &Acceptance,
        now: DateTime<Utc>,
    ) -> StoreResult<Checked> {
        let (limits, has_key) = (&acceptance.limits, acceptance.idempotency.is_some());
        let (kb, new) = acceptance.documents.as_ref().map_or(("", &[][..]), |(kb, new)| (kb.as_str(), new));
        let counts_keys = has_key && limits.maximum(Quota::IdempotencyKeys).is_some();
        if !counts_keys && acceptance.documents.is_none() {
            return Ok(Checked::default());
        }
        let counts_documents = !new.is_empty() && counts_documents(limits);
        let select = self.sql(CHECKED).bind(kb).bind_list(new.iter().map(|document| document.id.as_str()));
        let select = select.bind(counts_documents).bind(counts_keys).bind(now - IDEMPOTENCY_KEPT);
        tx.one(select, read_checked).await
    }

    /// The answer stored under an idempotency key; `None` when it is unknown or has expired.
    pub async fn replay(&self, idempotency_key: &str) -> StoreResult<Option<Replay>> {
        let since = self.clock.now() - IDEMPOTENCY_KEPT;
        let select = self.sql(REPLAY).bind(idempotency_key).bind(since);
        self.rows.optional("catalog.replay", select, |row| read_replay(row, "status")).await
    }

    /// Puts jobs into the outbox. A job that is already there stays as it is.
    pub(super) fn outbox_insert<'q>(
        &'q self,
        operation: &'static str,
        jobs: &'q [StampedJob],
        now: DateTime<Utc>,
    ) -> StoreResult<Sql<'q>> {
        if jobs.iter().any(|job| job.tenant_id() != &self.tenant) {
            let what = "the job was stamped for another tenant";
            return Err(StoreError::Conflict { operation, what });
        }
        let insert = self.sql(
            "insert into outbox (tenant_id, job_id, wire, created_at)
             select $1, new.id, new.wire, $3 from {rows $2 as new (id uuid, wire text)} where true
             on conflict (tenant_id, job_id) do nothing",
        );
        let rows = jobs.iter().map(|job| [("id", Value::from(job.id())), ("wire", job.wire().into())]);
        Ok(insert.bind_rows(rows).bind(now))
    }

    /// Removes jobs from the outbox.
    pub(super) fn outbox_remove(&self, jobs: &[JobId]) -> Sql<'_> {
        self.sql("delete from outbox where tenant_id = $1 and job_id {in $2 uuid}").bind_list(jobs)
    }

    /// Removes jobs from the outbox because they will not run, or because the queue has them.
    pub async fn outbox_delete(&self, jobs: &[JobId]) -> StoreResult<()> {
        self.rows.execute("catalog.outbox_delete", self.outbox_remove(jobs)).await.map(drop)
    }

    /// The signed envelopes of those of `jobs` that are still in the outbox.
    pub async fn outbox_wires(&self, jobs: &[JobId]) -> StoreResult<Vec<(JobId, String)>> {
        let select = self.sql("select job_id, wire from outbox where tenant_id = $1 and job_id {in $2 uuid}");
        let read = |row: &Row| Ok((row.parsed("job_id")?, row.text("wire")?));
        self.rows.all("catalog.outbox_wires", select.bind_list(jobs), read).await
    }

    /// Whether a job is still in the outbox: the queue does not have it yet, as far as the catalog knows.
    pub async fn outbox_has(&self, id: JobId) -> StoreResult<bool> {
        let select =
            self.sql("select exists (select 1 from outbox where tenant_id = $1 and job_id = $2) as found");
        self.rows.one("catalog.outbox_has", select.bind(id), |row| row.flag("found")).await
    }

    /// The signed envelope of a job that is still in the outbox, or whose work has not ended: the queue may have lost
    /// it.
    pub async fn outbox_job(&self, id: JobId) -> StoreResult<Option<String>> {
        let select = self.sql(
            "select wire from outbox where tenant_id = $1 and job_id = $2
             union select wire from unfinished_jobs where tenant_id = $1 and job_id = $2 limit 1",
        );
        self.rows.optional("catalog.outbox_job", select.bind(id), |row| row.text("wire")).await
    }
}

impl Accepting<'_> {
    /// Writes everything. Returns the reason when the request cannot be accepted; the caller then drops the
    /// transaction. The methods for the parts do the same.
    async fn write(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(new) = &acceptance.idempotency
            && let Some(replay) = self.key_claim(new).await?
        {
            return Ok(Some(Accepted::Replayed(replay)));
        }
        // The strongest lock first: two transactions that upgrade a weaker lock would deadlock.
        let closed_epoch = self.catalog.closed_epoch(&mut self.tx, must_count(acceptance)).await?;
        // A statement of its own, so that it sees what those wrote that had the lock before.
        let checked = self.catalog.checked(&mut self.tx, acceptance, self.now).await?;
        if acceptance.idempotency.is_some()
            && let Some(over) = checked.key_refused(&acceptance.limits)
        {
            return Ok(Some(Accepted::OverQuota(over)));
        }
        let mut refused = self.of_tenant(acceptance, closed_epoch).await?;
        if refused.is_none() {
            refused = self.of_kb(acceptance).await?;
        }
        if refused.is_none() {
            refused = documents_refused(acceptance, &checked);
        }
        if refused.is_some() {
            return Ok(refused);
        }
        self.documents_and_jobs(acceptance).await
    }

    /// Claims an idempotency key, or returns the answer stored under it. Blocks while another request with the same
    /// key is open, and then returns that request's answer.
    async fn key_claim(&mut self, new: &Idempotency) -> StoreResult<Option<Replay>> {
        let (catalog, now) = (self.catalog, self.now);
        let claim = catalog.sql(
            "insert into idempotency as known (tenant_id, key, fingerprint, status, body, created_at)
             values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, key) do update set
                 fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
                 created_at = excluded.created_at
             where known.created_at <= $7",
        );
        let claim = claim.bind(&new.key).bind(&new.fingerprint).bind(new.status).bind(new.body.to_string());
        if self.tx.execute(claim.bind(now).bind(now - IDEMPOTENCY_KEPT)).await? == 1 {
            return Ok(None);
        }
        let select = catalog.sql(REPLAY).bind(&new.key).bind(now - IDEMPOTENCY_KEPT);
        self.tx.one(select, |row| read_replay(row, "status")).await.map(Some)
    }

    async fn of_tenant(
        &mut self,
        acceptance: &Acceptance,
        closed_epoch: Option<u64>,
    ) -> StoreResult<Option<Accepted>> {
        if let Some(tenant) = &acceptance.tenant
            && !self.tenant(tenant).await?
        {
            return Ok(Some(Accepted::TenantExists));
        }
        let by = acceptance.tenant.as_ref().and_then(|tenant| tenant.created_by.as_deref());
        if let Some(founder) = &acceptance.founder
            && !self.founder(founder, by).await?
        {
            return Ok(Some(Accepted::UserExists));
        }
        if let Some((identity, role)) = &acceptance.member {
            self.catalog.first_member_insert(&mut self.tx, identity, *role, self.now, by).await?;
        }
        // A closed tenant accepts only its own deletion.
        let is_there = acceptance.tenant.is_some() || closed_epoch == acceptance.tenant_closed;
        Ok((!is_there).then_some(Accepted::TenantGone))
    }

    /// Inserts the tenant. Returns whether its id was free, also as a slug.
    async fn tenant(&mut self, new: &NewTenant) -> StoreResult<bool> {
        Ok(self.catalog.tenant_insert(&mut self.tx, new, self.now).await?
            && self.catalog.slug_insert(&mut self.tx, self.catalog.tenant.as_str()).await?)
    }

    /// Inserts the founder's account. Returns whether the name was free.
    async fn founder(&mut self, founder: &User, by: Option<&str>) -> StoreResult<bool> {
        self.tx.become_reader(Some(Reader::Identity)).await?;
        let made = user_insert(&mut self.tx, founder, self.now).await?;
        self.tx.become_reader(None).await?;
        let identity = founder.name.identity();
        if !made {
            return Ok(false);
        }
        self.catalog.first_member_insert(&mut self.tx, &identity, Role::Admin, self.now, by).await
    }

    async fn of_kb(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(new) = &acceptance.kb {
            if !self.catalog.kb_insert(&mut self.tx, new, self.now).await? {
                return Ok(Some(Accepted::KbExists));
            }
            let limits = &acceptance.limits;
            if let Some(over) = self.catalog.last_refused(&mut self.tx, limits, Quota::Kbs).await? {
                return Ok(Some(Accepted::OverQuota(over)));
            }
        }
        if let Some(closed) = &acceptance.kb_close
            && !self.catalog.kb_close(&mut self.tx, closed, self.now).await?
        {
            return Ok(Some(Accepted::KbGone));
        }
        Ok(None)
    }

    /// Registers the documents, puts the jobs into the outbox and counts them, and removes answers that are too old.
    async fn documents_and_jobs(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        let (catalog, limits, now) = (self.catalog, &acceptance.limits, self.now);
        let new = acceptance.documents.as_ref().map_or(&[][..], |(_, new)| new);
        let distinct: HashSet<_> = new.iter().map(|document| &document.id).collect();
        if distinct.len() < new.len() {
            return Ok(Some(Accepted::RevisionMoved));
        }
        let mut writes = Vec::new();
        if let Some((kb, new)) = &acceptance.documents {
            let upsert = catalog.sql(UPSERT_DOCUMENTS).bind(kb.as_str()).bind_rows(new.iter().map(row));
            writes.push(upsert.bind(now).bind(acceptance.batch.map(BatchId::uuid)));
        }
        if !acceptance.jobs.is_empty() {
            writes.push(catalog.outbox_insert(self.tx.operation(), &acceptance.jobs, now)?);
        }
        if acceptance.idempotency.is_some() {
            let prune = catalog.sql(PRUNE_ANSWERS).bind(now - IDEMPOTENCY_KEPT).bind(IDEMPOTENCY_PRUNED);
            writes.push(prune);
        }
        // The operator's request to create the tenant does not count towards the tenant's quota.
        let counts_jobs = acceptance.tenant.is_none() && !acceptance.jobs.is_empty();
        if counts_jobs {
            // Last, because the counter's row stays locked until the commit.
            writes.push(catalog.jobs_add(limits, acceptance.jobs.len(), now));
        }
        let changed = self.tx.execute_all(writes).await?;
        let registered = changed.first().filter(|_| acceptance.documents.is_some());
        if registered.is_some_and(|registered| *registered != new.len() as u64) {
            return Ok(Some(Accepted::RevisionMoved));
        }
        if counts_jobs && changed.last() == Some(&0) {
            let over = catalog.jobs_refused(&mut self.tx, limits, now).await?;
            return Ok(over.map(Accepted::OverQuota));
        }
        Ok(None)
    }
}

/// Whether one of `quotas` is limited.
pub(super) fn is_counted(limits: &Limits, quotas: &[Quota]) -> bool {
    quotas.iter().any(|quota| limits.maximum(*quota).is_some())
}

/// Whether documents and their bytes are counted.
fn counts_documents(limits: &Limits) -> bool {
    is_counted(limits, &DOCUMENTS)
}

/// Whether an acceptance counts rows, and therefore needs the tenant's lock.
fn must_count(acceptance: &Acceptance) -> bool {
    let counts_keys = acceptance.idempotency.is_some();
    let limits = &acceptance.limits;
    is_counted(limits, &COUNTED) || (counts_keys && is_counted(limits, &[Quota::IdempotencyKeys]))
}

/// What an acceptance is checked against.
#[derive(Default)]
struct Checked {
    /// Whether the knowledge base of its documents accepts any.
    kb_is_open: bool,
    usage: Usage,
    /// How many of its documents exist already, and the size of their originals.
    replaced: u64,
    replaced_bytes: u64,
}

impl Checked {
    /// The quota of Idempotency-Keys, if the acceptance's own, which is among them, exceeds it.
    fn key_refused(&self, limits: &Limits) -> Option<OverQuota> {
        model::last_refused(limits, Quota::IdempotencyKeys, self.usage.idempotency_keys)
    }

    /// The quota that its documents would exceed.
    fn documents_refused(&self, limits: &Limits, new: &[NewDocument]) -> Option<OverQuota> {
        Growth::of(new, self.replaced, self.replaced_bytes).refused(limits, &self.usage)
    }
}

/// What is not counted ($4, $5) is 0. The knowledge base is counted so that its row can be locked.
const CHECKED: &str = "
select documents, storage_bytes, replaced, replaced_bytes,
    (select count(*) from idempotency where tenant_id = $1 and created_at > $6 and $5) as idempotency_keys,
    (select count(*) from (
        select 1 from kbs where tenant_id = $1 and kb_id = $2 and deleting_at is null {for share}) as found) as kbs
from (select count(*) as documents,
          cast(coalesce(sum(size_bytes + kept_bytes
              + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint) as storage_bytes
      from documents where tenant_id = $1 and $4) as counted,
     (select count(*) as replaced, cast(coalesce(sum(size_bytes), 0) as bigint) as replaced_bytes
      from documents where tenant_id = $1 and kb_id = $2 and document_id {in $3} and $4) as known";

fn read_checked(row: &Row) -> sqlx::Result<Checked> {
    let (documents, storage_bytes) = (row.number("documents")?, row.number("storage_bytes")?);
    let idempotency_keys = row.number("idempotency_keys")?;
    Ok(Checked {
        kb_is_open: row.number::<u64>("kbs")? > 0,
        usage: Usage { documents, storage_bytes, idempotency_keys, ..Usage::default() },
        replaced: row.number("replaced")?,
        replaced_bytes: row.number("replaced_bytes")?,
    })
}

fn documents_refused(acceptance: &Acceptance, checked: &Checked) -> Option<Accepted> {
    let (_, new) = acceptance.documents.as_ref()?;
    if !checked.kb_is_open {
        return Some(Accepted::KbGone);
    }
    checked.documents_refused(&acceptance.limits, new).map(Accepted::OverQuota)
}

fn row(document: &NewDocument) -> [(&'static str, Value<'_>); 7] {
    [
        ("id", Value::from(document.id.as_str())),
        ("name", document.name.as_str().into()),
        ("revision", document.revision.into()),
        ("media_type", document.media_type.as_str().into()),
        ("size_bytes", document.size_bytes.into()),
        ("sha256", document.sha256.as_str().into()),
        ("job", document.job_id.into()),
    ]
}

const REPLAY: &str = "select fingerprint, status, body from idempotency
                      where tenant_id = $1 and key = $2 and created_at > $3";

/// Reads a stored answer. `status` is the name of its column.
fn read_replay(row: &Row, status: &'static str) -> sqlx::Result<Replay> {
    Ok(Replay { fingerprint: row.text("fingerprint")?, status: row.number(status)?, body: row.json("body")? })
}

/// Removes more expired answers than one request adds. Skips rows that another transaction is removing.
const PRUNE_ANSWERS: &str = "
delete from idempotency where tenant_id = $1 and key in (
    select key from idempotency where tenant_id = $1 and created_at <= $2
    order by created_at limit $3 {for update skip locked})";

/// Inserts new documents under the next revision and updates known ones whose revision is the direct predecessor;
/// skips all others, and all of a cancelled batch, which the caller finds out by the number of rows. Ordered by id, so
/// that two requests about the same documents cannot deadlock.
///
/// What is served stays until the new revision takes its place, and its original is counted besides the new one, unless
/// they are the same. Of a document that is being deleted nothing is served.
const UPSERT_DOCUMENTS: &str = "
insert into documents as known
    (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, job_id,
     created_at, updated_at, batch_id)
select $1, $2, new.id, new.name, new.revision, new.media_type, new.size_bytes, new.sha256, 'pending', new.job,
    $4, $4, $5
from {rows $3 as new (id text, name text, revision bigint, media_type text, size_bytes bigint, sha256 text, job uuid)}
where (new.revision = (select gone_revision + 1 from tenants where tenant_id = $1) or exists (
        select 1 from documents where tenant_id = $1 and kb_id = $2 and document_id = new.id))
    and not exists (
        select 1 from batch_cancellations where tenant_id = $1 and kb_id = $2 and batch_id = $5)
order by new.id
on conflict (tenant_id, kb_id, document_id) do update set
    name = excluded.name, revision = excluded.revision, media_type = excluded.media_type,
    size_bytes = excluded.size_bytes, sha256 = excluded.sha256, status = 'pending',
    fault_code = null, fault_detail = null, staged_chunks = 0,
    chunks = case when known.deleting_at is null then known.chunks else 0 end,
    entities = case when known.deleting_at is null then known.entities else 0 end,
    relations = case when known.deleting_at is null then known.relations else 0 end,
    served_revision = case when known.deleting_at is null then known.served_revision end,
    served_sha256 = case when known.deleting_at is null then known.served_sha256 end,
    kept_bytes = case
        when known.deleting_at is not null then 0
        when known.served_sha256 is null or known.served_sha256 = excluded.sha256 then 0
        when known.served_sha256 = known.sha256 then known.size_bytes
        else known.kept_bytes end,
    job_id = excluded.job_id, updated_at = excluded.updated_at, deleting_at = null,
    batch_id = excluded.batch_id
where known.revision = excluded.revision - 1";

/// A row for each document. The stored answer is in the first one alone, because it can be long. Documents and bytes
/// are 0 where they are not counted ($7).
const UPLOAD_VIEW: &str = "
select coalesce(known.revision, (select gone_revision from tenants where tenant_id = $1), 0) as revision,
    case when known.deleting_at is null then known.size_bytes end as replaced_bytes,
    answer.fingerprint, answer.status as answer_status, answer.body, counted.documents, counted.storage_bytes,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'jobs' and period = $6), 0) as daily_jobs,
    exists (select 1 from batch_cancellations
            where tenant_id = $1 and kb_id = $2 and batch_id = $8) as batch_cancelled
from {rows $3 as asked (at bigint, id text)}
left join documents as known on known.tenant_id = $1 and known.kb_id = $2 and known.document_id = asked.id
left join idempotency as answer
    on asked.at = 0 and answer.tenant_id = $1 and answer.key = $4 and answer.created_at > $5
cross join (select count(*) as documents,
                cast(coalesce(sum(size_bytes + kept_bytes
                    + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint)
                    as storage_bytes
            from documents where tenant_id = $1 and $7) as counted
order by asked.at";

fn read_known(row: &Row) -> sqlx::Result<(KnownDocument, Option<Replay>, Usage, bool)> {
    let known = KnownDocument {
        revision: row.number("revision")?,
        replaced_bytes: row.number_or_null("replaced_bytes")?,
    };
    let replay = match row.text_or_null("fingerprint")? {
        Some(_) => Some(read_replay(row, "answer_status")?),
        None => None,
    };
    let usage = Usage {
        documents: row.number("documents")?,
        storage_bytes: row.number("storage_bytes")?,
        daily_jobs: row.number("daily_jobs")?,
        ..Usage::default()
    };
    Ok((known, replay, usage, row.flag("batch_cancelled")?))
}
