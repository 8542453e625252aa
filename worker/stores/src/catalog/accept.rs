//! Accepting a request: all of its writes in one transaction.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::plan::Quota;
use jobs::tenant::{KbId, Role};

use super::identities::user_insert;
use super::{Catalog, Reader, Row, Tx, Value};
use crate::error::StoreError;
use crate::model::{Acceptance, Accepted, Idempotency, NewDocument, NewTenant, Replay, User};
use crate::ports::StoreResult;

/// How long the answer to a request is given again under its idempotency key.
pub(super) const IDEMPOTENCY_KEPT: TimeDelta = TimeDelta::hours(24);
/// How many answers that are too old one request removes: more than it adds.
const IDEMPOTENCY_PRUNED: i64 = 20;

/// The transaction of one acceptance.
struct Accepting<'a> {
    catalog: &'a Catalog,
    tx: Tx,
    now: DateTime<Utc>,
}

impl Catalog {
    /// Writes the request's tenant, knowledge base, documents, jobs and idempotent answer in one transaction, or
    /// nothing. On any result but [`Accepted::New`] nothing was written.
    pub async fn accept(&self, acceptance: &Acceptance, now: DateTime<Utc>) -> StoreResult<Accepted> {
        let tx = self.rows.write("catalog.accept").await?;
        let mut accepting = Accepting { catalog: self, tx, now };
        if let Some(refused) = accepting.write(acceptance).await? {
            return Ok(refused);
        }
        accepting.tx.commit().await?;
        // After the commit: earlier, another process could cache the old rows again.
        if acceptance.tenant.is_some() || acceptance.founder.is_some() {
            self.news.tenant_made(&self.tenant).await;
        } else if acceptance.kb.is_some() || acceptance.kb_close.is_some() {
            self.news.tenant_changed(&self.tenant).await;
        }
        Ok(Accepted::New)
    }

    /// The answer stored under an idempotency key; `None` when it is unknown or has expired.
    pub async fn replay(&self, idempotency_key: &str) -> StoreResult<Option<Replay>> {
        let since = self.clock.now() - IDEMPOTENCY_KEPT;
        let select = self.sql(REPLAY).bind(idempotency_key).bind(since);
        self.rows.optional("catalog.replay", select, read_replay).await
    }

    /// Puts jobs into the outbox. A job that is already there stays as it is.
    pub(super) async fn outbox_insert(
        &self,
        tx: &mut Tx,
        jobs: &[StampedJob],
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        if jobs.iter().any(|job| job.tenant_id() != &self.tenant) {
            let what = "the job was stamped for another tenant";
            return Err(StoreError::Conflict { operation: tx.operation(), what });
        }
        let insert = self.sql(
            "insert into outbox (tenant_id, job_id, wire, created_at)
             select $1, new.id, new.wire, $3 from {rows $2 as new (id uuid, wire text)} where true
             on conflict (tenant_id, job_id) do nothing",
        );
        let rows = jobs.iter().map(|job| [("id", Value::from(job.id())), ("wire", job.wire().into())]);
        tx.execute(insert.bind_rows(rows).bind(now)).await.map(drop)
    }

    /// Removes jobs from the outbox because the queue has them.
    pub async fn outbox_delete(&self, jobs: &[JobId]) -> StoreResult<()> {
        let delete = self.sql("delete from outbox where tenant_id = $1 and job_id {in $2 uuid}");
        self.rows.execute("catalog.outbox_delete", delete.bind_list(jobs)).await.map(drop)
    }

    /// The signed envelope of a job that is still in the outbox.
    pub async fn outbox_job(&self, id: JobId) -> StoreResult<Option<String>> {
        let select = self.sql("select wire from outbox where tenant_id = $1 and job_id = $2").bind(id);
        self.rows.optional("catalog.outbox_job", select, |row| row.text("wire")).await
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
        let (limits, has_key) = (&acceptance.limits, acceptance.idempotency.is_some());
        // The strongest lock first: two transactions that upgrade a weaker lock would deadlock.
        self.catalog.lock_to_count(&mut self.tx, limits, has_key).await?;
        if has_key
            && let Some(over) =
                self.catalog.last_refused(&mut self.tx, limits, Quota::IdempotencyKeys, self.now).await?
        {
            return Ok(Some(Accepted::OverQuota(over)));
        }
        let mut refused = self.of_tenant(acceptance).await?;
        if refused.is_none() {
            refused = self.of_kb(acceptance).await?;
        }
        if refused.is_none() {
            refused = self.of_documents(acceptance).await?;
        }
        if refused.is_some() {
            return Ok(refused);
        }
        self.catalog.outbox_insert(&mut self.tx, &acceptance.jobs, self.now).await?;
        // The operator's request to create the tenant does not count towards the tenant's quota.
        let jobs = if acceptance.tenant.is_some() { 0 } else { acceptance.jobs.len() };
        // Last, because the counter's row stays locked until the commit.
        let over = self.catalog.jobs_count(&mut self.tx, limits, jobs, self.now).await?;
        Ok(over.map(Accepted::OverQuota))
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
        if self.tx.execute(claim.bind(now).bind(now - IDEMPOTENCY_KEPT)).await? == 0 {
            let select = catalog.sql(REPLAY).bind(&new.key).bind(now - IDEMPOTENCY_KEPT);
            return self.tx.one(select, read_replay).await.map(Some);
        }
        // Removes more expired keys than one request adds. Skips rows that another transaction is removing.
        let prune = catalog.sql(
            "delete from idempotency where tenant_id = $1 and key in (
                 select key from idempotency where tenant_id = $1 and created_at <= $2
                 order by created_at limit $3 {for update skip locked})",
        );
        self.tx.execute(prune.bind(now - IDEMPOTENCY_KEPT).bind(IDEMPOTENCY_PRUNED)).await?;
        Ok(None)
    }

    async fn of_tenant(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(tenant) = &acceptance.tenant
            && !self.tenant(tenant).await?
        {
            return Ok(Some(Accepted::TenantExists));
        }
        if let Some(founder) = &acceptance.founder
            && !self.founder(founder).await?
        {
            return Ok(Some(Accepted::UserExists));
        }
        if let Some((identity, role)) = &acceptance.member {
            self.catalog.first_member_insert(&mut self.tx, identity, *role, self.now).await?;
        }
        let is_there = acceptance.tenant.is_some()
            || self.catalog.may_accept(&mut self.tx, acceptance.tenant_closed).await?;
        Ok((!is_there).then_some(Accepted::TenantGone))
    }

    /// Inserts the tenant. Returns whether its id was free, also as a slug.
    async fn tenant(&mut self, new: &NewTenant) -> StoreResult<bool> {
        Ok(self.catalog.tenant_insert(&mut self.tx, new, self.now).await?
            && self.catalog.slug_insert(&mut self.tx, self.catalog.tenant.as_str()).await?)
    }

    /// Inserts the founder's account. Returns whether the name was free.
    async fn founder(&mut self, founder: &User) -> StoreResult<bool> {
        self.tx.become_reader(Some(Reader::Identity)).await?;
        let made = user_insert(&mut self.tx, founder, self.now).await?;
        self.tx.become_reader(None).await?;
        let identity = founder.name.identity();
        Ok(made && self.catalog.first_member_insert(&mut self.tx, &identity, Role::Admin, self.now).await?)
    }

    async fn of_kb(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(new) = &acceptance.kb {
            if !self.catalog.kb_insert(&mut self.tx, new, self.now).await? {
                return Ok(Some(Accepted::KbExists));
            }
            let limits = &acceptance.limits;
            if let Some(over) = self.catalog.last_refused(&mut self.tx, limits, Quota::Kbs, self.now).await? {
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

    async fn of_documents(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        let Some((kb, documents)) = &acceptance.documents else { return Ok(None) };
        if !self.catalog.kb_is_open(&mut self.tx, kb).await? {
            return Ok(Some(Accepted::KbGone));
        }
        let refused =
            self.catalog.documents_refused(&mut self.tx, &acceptance.limits, (kb, documents)).await?;
        if refused.is_some() {
            return Ok(refused.map(Accepted::OverQuota));
        }
        let registered = self.documents(kb, documents).await?;
        Ok((!registered).then_some(Accepted::RevisionMoved))
    }

    /// Registers the documents. Returns whether all of them had the expected revision.
    async fn documents(&mut self, kb: &KbId, new: &[NewDocument]) -> StoreResult<bool> {
        let distinct: HashSet<_> = new.iter().map(|document| &document.id).collect();
        if distinct.len() < new.len() {
            return Ok(false);
        }
        let rows = new.iter().map(|document| {
            [
                ("id", Value::from(document.id.as_str())),
                ("name", document.name.as_str().into()),
                ("revision", document.revision.into()),
                ("media_type", document.media_type.as_str().into()),
                ("size_bytes", document.size_bytes.into()),
                ("sha256", document.sha256.as_str().into()),
                ("job", document.job_id.into()),
            ]
        });
        let upsert = self.catalog.sql(UPSERT_DOCUMENTS).bind(kb.as_str()).bind_rows(rows).bind(self.now);
        let registered = self.tx.execute(upsert).await?;
        Ok(usize::try_from(registered).is_ok_and(|registered| registered == new.len()))
    }
}

const REPLAY: &str = "select fingerprint, status, body from idempotency
                      where tenant_id = $1 and key = $2 and created_at > $3";

fn read_replay(row: &Row) -> sqlx::Result<Replay> {
    Ok(Replay {
        fingerprint: row.text("fingerprint")?,
        status: row.number("status")?,
        body: row.json("body")?,
    })
}

/// Inserts new documents under the next revision and updates known ones whose revision is the direct predecessor;
/// skips all others, which the caller finds out by the number of rows. Ordered by id, so that two requests about
/// the same documents cannot deadlock.
const UPSERT_DOCUMENTS: &str = "
insert into documents as known
    (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, job_id,
     created_at, updated_at)
select $1, $2, new.id, new.name, new.revision, new.media_type, new.size_bytes, new.sha256, 'pending', new.job,
    $4, $4
from {rows $3 as new (id text, name text, revision bigint, media_type text, size_bytes bigint, sha256 text, job uuid)}
where new.revision = (select gone_revision + 1 from tenants where tenant_id = $1) or exists (
    select 1 from documents where tenant_id = $1 and kb_id = $2 and document_id = new.id)
order by new.id
on conflict (tenant_id, kb_id, document_id) do update set
    name = excluded.name, revision = excluded.revision, media_type = excluded.media_type,
    size_bytes = excluded.size_bytes, sha256 = excluded.sha256, status = 'pending',
    fault_code = null, fault_detail = null, chunks = 0, entities = 0, relations = 0,
    job_id = excluded.job_id, updated_at = excluded.updated_at, deleting_at = null
where known.revision = excluded.revision - 1";
