//! Accepting a request: everything in one transaction, or nothing.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::plan::{Limits, Quota};
use jobs::tenant::{Identity, KbId, Role};
use sqlx::Row as _;

use super::{closing, idempotency, kb, slug, usage};
use crate::error::StoreError;
use crate::model::{Acceptance, Accepted, NewDocument, NewTenant, OverQuota, User};
use crate::ports::StoreResult;
use crate::postgres::identities::user_insert;
use crate::postgres::pool::{Reader, TenantDb};
use crate::postgres::row::wide;
use crate::postgres::tx::Tx;

const ACCEPT: &str = "catalog.accept";

/// One acceptance being written.
struct Accepting<'a> {
    db: &'a TenantDb,
    tx: Tx,
    now: DateTime<Utc>,
}

pub(super) async fn accept(
    db: &TenantDb,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> StoreResult<Accepted> {
    let mut accepting = Accepting { db, tx: db.tx(ACCEPT).await?, now };
    let refused = accepting.write(acceptance).await?;
    if let Some(refused) = refused {
        return Ok(refused);
    }
    accepting.tx.commit().await?;
    Ok(Accepted::New)
}

impl Accepting<'_> {
    /// What stands against it, or nothing.
    async fn write(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(new) = &acceptance.idempotency
            && let Some(replay) = idempotency::claim(&mut self.tx, self.db, new, self.now).await?
        {
            return Ok(Some(Accepted::Replayed(replay)));
        }
        let (limits, has_key) = (&acceptance.limits, acceptance.idempotency.is_some());
        usage::tenant_lock(&mut self.tx, self.db, limits, has_key).await?;
        if has_key && let Some(over) = self.last_refused(limits, Quota::IdempotencyKeys).await? {
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
        self.outbox(&acceptance.jobs).await?;
        self.count(acceptance).await
    }

    async fn last_refused(&mut self, limits: &Limits, quota: Quota) -> StoreResult<Option<OverQuota>> {
        usage::last_refused(&mut self.tx, self.db, limits, quota, self.now).await
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
            self.first_member(identity, *role).await?;
        }
        let is_there = acceptance.tenant.is_some()
            || closing::may_accept(&mut self.tx, self.db, acceptance.tenant_closed).await?;
        Ok((!is_there).then_some(Accepted::TenantGone))
    }

    async fn of_kb(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        if let Some(new) = &acceptance.kb {
            if !kb::insert(&mut self.tx, self.db, new, self.now).await? {
                return Ok(Some(Accepted::KbExists));
            }
            if let Some(over) = self.last_refused(&acceptance.limits, Quota::Kbs).await? {
                return Ok(Some(Accepted::OverQuota(over)));
            }
        }
        if let Some(closed) = &acceptance.kb_close
            && !kb::close(&mut self.tx, self.db, closed, self.now).await?
        {
            return Ok(Some(Accepted::KbGone));
        }
        Ok(None)
    }

    async fn of_documents(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        let Some((kb, documents)) = &acceptance.documents else { return Ok(None) };
        if !kb::is_open(&mut self.tx, self.db, kb).await? {
            return Ok(Some(Accepted::KbGone));
        }
        let whose = (kb, documents.as_slice());
        let refused = usage::documents_refused(&mut self.tx, self.db, &acceptance.limits, whose).await?;
        if refused.is_some() {
            return Ok(refused.map(Accepted::OverQuota));
        }
        let registered = self.documents(kb, documents).await?;
        Ok((!registered).then_some(Accepted::RevisionMoved))
    }

    async fn count(&mut self, acceptance: &Acceptance) -> StoreResult<Option<Accepted>> {
        // The job that makes a tenant is the operator's wish, not the tenant's.
        let jobs = if acceptance.tenant.is_some() { 0 } else { acceptance.jobs.len() };
        let refused = usage::jobs_count(&mut self.tx, self.db, &acceptance.limits, jobs, self.now).await?;
        Ok(refused.map(Accepted::OverQuota))
    }

    async fn tenant(&mut self, new: &NewTenant) -> StoreResult<bool> {
        let sql = sqlx::query(
            "insert into tenants (tenant_id, name, plan, status, epoch, created_at) \
             values ($1, $2, $3, 'provisioning', 0, $4) on conflict (tenant_id) do nothing",
        );
        let sql = sql.bind(self.db.tenant().as_str()).bind(&new.name).bind(&new.plan).bind(self.now);
        Ok(self.tx.execute(sql).await? == 1 && slug::insert(&mut self.tx, self.db).await?)
    }

    /// Whether the founder's name was free.
    async fn founder(&mut self, founder: &User) -> StoreResult<bool> {
        self.tx.execute(sqlx::query(Reader::Identity.set_role())).await?;
        let made = user_insert(&mut self.tx, founder, self.now).await?;
        self.tx.execute(sqlx::query("set local role none")).await?;
        Ok(made && self.first_member(&founder.name.identity(), Role::Admin).await?)
    }

    /// Whether they had not been a member.
    async fn first_member(&mut self, identity: &Identity, role: Role) -> StoreResult<bool> {
        let sql = sqlx::query(
            "insert into members (tenant_id, identity, role, created_at) values ($1, $2, $3, $4) \
             on conflict (tenant_id, identity) do nothing",
        );
        let sql = sql.bind(self.db.tenant().as_str()).bind(identity.to_string()).bind(role.as_str());
        Ok(self.tx.execute(sql.bind(self.now)).await? == 1)
    }

    /// Whether every document could be registered. In order of id, so that two requests about the same
    /// documents wait for each other instead of for ever.
    async fn documents(&mut self, kb: &KbId, new: &[NewDocument]) -> StoreResult<bool> {
        let distinct: HashSet<_> = new.iter().map(|document| &document.id).collect();
        if distinct.len() < new.len() {
            return Ok(false);
        }
        let texts = |of: fn(&NewDocument) -> &str| new.iter().map(of).collect::<Vec<_>>();
        let sql = sqlx::query(UPSERT_DOCUMENTS).bind(self.db.tenant().as_str()).bind(kb.as_str());
        let sql = sql.bind(texts(|document| document.id.as_str())).bind(texts(|document| &document.name));
        let sql = sql.bind(new.iter().map(|document| wide(document.revision)).collect::<Vec<_>>());
        let sql = sql.bind(texts(|document| &document.media_type));
        let sql = sql.bind(new.iter().map(|document| wide(document.size_bytes)).collect::<Vec<_>>());
        let sql = sql.bind(texts(|document| &document.sha256));
        let sql = sql.bind(new.iter().map(|document| document.job_id.to_string()).collect::<Vec<_>>());
        Ok(wide(self.tx.execute(sql.bind(self.now)).await?) == wide(new.len()))
    }

    async fn outbox(&mut self, jobs: &[StampedJob]) -> StoreResult<()> {
        if jobs.iter().any(|job| job.tenant_id() != self.db.tenant()) {
            return Err(StoreError::Conflict { operation: ACCEPT, what: "a job is another tenant's" });
        }
        let sql = sqlx::query(
            "insert into outbox (tenant_id, job_id, wire, created_at) \
             select $1, id::uuid, wire, $4 from unnest($2::text[], $3::text[]) as new (id, wire) \
             on conflict do nothing",
        );
        let ids: Vec<String> = jobs.iter().map(|job| job.id().to_string()).collect();
        let wires: Vec<&str> = jobs.iter().map(StampedJob::wire).collect();
        self.tx.execute(sql.bind(self.db.tenant().as_str()).bind(ids).bind(wires).bind(self.now)).await?;
        Ok(())
    }
}

/// Writes new documents under a revision that nobody had before, and the next one of known ones, and leaves all
/// others out.
const UPSERT_DOCUMENTS: &str = "
insert into documents as known
    (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, job_id,
     created_at, updated_at)
select $1, $2, new.id, new.name, new.revision, new.media_type, new.size_bytes, new.sha256, 'pending', new.job::uuid,
    $10, $10
from unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[], $9::text[])
    as new (id, name, revision, media_type, size_bytes, sha256, job)
where new.revision = (select gone_revision + 1 from tenants where tenant_id = $1) or exists (
    select from documents where tenant_id = $1 and kb_id = $2 and document_id = new.id)
order by new.id collate \"C\"
on conflict (tenant_id, kb_id, document_id) do update set
    name = excluded.name, revision = excluded.revision, media_type = excluded.media_type,
    size_bytes = excluded.size_bytes, sha256 = excluded.sha256, status = 'pending',
    fault_code = null, fault_detail = null, chunks = 0, entities = 0, relations = 0,
    job_id = excluded.job_id, updated_at = excluded.updated_at, deleting_at = null
where known.revision = excluded.revision - 1";

pub(super) async fn outbox_delete(db: &TenantDb, jobs: &[JobId]) -> StoreResult<()> {
    let sql = sqlx::query(
        "delete from outbox where tenant_id = $1 and job_id = any (select unnest($2::text[])::uuid)",
    );
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let mut tx = db.tx("catalog.outbox_delete").await?;
    tx.execute(sql.bind(db.tenant().as_str()).bind(ids)).await?;
    tx.commit().await
}

pub(super) async fn outbox_job(db: &TenantDb, id: JobId) -> StoreResult<Option<String>> {
    let sql = sqlx::query("select wire from outbox where tenant_id = $1 and job_id = $2::uuid");
    let mut tx = db.tx("catalog.outbox_job").await?;
    let sql = sql.bind(db.tenant().as_str()).bind(id.to_string());
    let wire = tx.optional(sql, |row| row.try_get("wire")).await?;
    tx.commit().await?;
    Ok(wire)
}
