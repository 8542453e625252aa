//! Accepting a request: everything it means in one transaction.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::plan::Quota;
use jobs::tenant::{Role, TenantId};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use super::{closing, documents, idempotency, kbs, slug, tenants, usage};
use crate::embedded::column::micros;
use crate::embedded::fault::Fault;
use crate::embedded::identities::user_insert;
use crate::model::{Acceptance, Accepted};

pub(super) async fn accept(
    catalog: &TenantCatalog,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> Result<Accepted, Fault> {
    let mut tx = catalog.file.begin().await?;
    let accepted = write(&mut tx, catalog, acceptance, now).await?;
    if accepted != Accepted::New {
        tx.rollback().await?;
        return Ok(accepted);
    }
    tx.commit().await?;
    if acceptance.tenant.is_some() || acceptance.founder.is_some() {
        catalog.news.tenant_made(&catalog.tenant).await;
    } else if acceptance.kb.is_some() || acceptance.kb_close.is_some() {
        catalog.news.tenant_changed(&catalog.tenant).await;
    }
    Ok(accepted)
}

async fn write(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> Result<Accepted, Fault> {
    if let Some(answer) = &acceptance.idempotency {
        if let Some(replay) = idempotency::replay_at(&mut *tx, &catalog.tenant, &answer.key, now).await? {
            return Ok(Accepted::Replayed(replay));
        }
        idempotency::prune(tx, &catalog.tenant, now).await?;
        idempotency::insert(tx, &catalog.tenant, answer, now).await?;
        let (limits, quota) = (&acceptance.limits, Quota::IdempotencyKeys);
        if let Some(over) = usage::last_refused(tx, &catalog.tenant, limits, quota, now).await? {
            return Ok(Accepted::OverQuota(over));
        }
    }
    let mut refused = of_tenant(tx, catalog, acceptance, now).await?;
    if refused.is_none() {
        refused = of_kb(tx, catalog, acceptance, now).await?;
    }
    if refused.is_none() {
        refused = of_documents(tx, catalog, acceptance, now).await?;
    }
    if let Some(refused) = refused {
        return Ok(refused);
    }
    for job in &acceptance.jobs {
        outbox_insert(tx, &catalog.tenant, job, now).await?;
    }
    // The job that makes a tenant is the operator's wish, not the tenant's.
    let jobs = if acceptance.tenant.is_some() { 0 } else { acceptance.jobs.len() };
    let over = usage::jobs_count(tx, &catalog.tenant, &acceptance.limits, jobs, now).await?;
    Ok(over.map_or(Accepted::New, Accepted::OverQuota))
}

/// What stands against it, or nothing; the same goes for what follows.
async fn of_tenant(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> Result<Option<Accepted>, Fault> {
    if let Some(tenant) = &acceptance.tenant
        && !(tenants::tenant_insert(tx, catalog, tenant, now).await? && slug::insert(tx, catalog).await?)
    {
        return Ok(Some(Accepted::TenantExists));
    }
    if let Some(founder) = &acceptance.founder
        && !(user_insert(tx, founder, now).await?
            && tenants::first_member_insert(tx, catalog, &founder.name.identity(), Role::Admin, now).await?)
    {
        return Ok(Some(Accepted::UserExists));
    }
    if let Some((identity, role)) = &acceptance.member {
        tenants::first_member_insert(tx, catalog, identity, *role, now).await?;
    }
    let is_there = acceptance.tenant.is_some()
        || closing::may_accept(tx, &catalog.tenant, acceptance.tenant_closed).await?;
    Ok((!is_there).then_some(Accepted::TenantGone))
}

async fn of_kb(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> Result<Option<Accepted>, Fault> {
    if let Some(new) = &acceptance.kb {
        if !kbs::insert(tx, &catalog.tenant, new, now).await? {
            return Ok(Some(Accepted::KbExists));
        }
        if let Some(over) =
            usage::last_refused(tx, &catalog.tenant, &acceptance.limits, Quota::Kbs, now).await?
        {
            return Ok(Some(Accepted::OverQuota(over)));
        }
    }
    if let Some(kb) = &acceptance.kb_close
        && !kbs::close(tx, &catalog.tenant, kb, now).await?
    {
        return Ok(Some(Accepted::KbGone));
    }
    Ok(None)
}

async fn of_documents(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    acceptance: &Acceptance,
    now: DateTime<Utc>,
) -> Result<Option<Accepted>, Fault> {
    let Some((kb, new)) = &acceptance.documents else { return Ok(None) };
    if !kbs::is_open(tx, &catalog.tenant, kb).await? {
        return Ok(Some(Accepted::KbGone));
    }
    if let Some(over) = usage::documents_refused(tx, &catalog.tenant, &acceptance.limits, (kb, new)).await? {
        return Ok(Some(Accepted::OverQuota(over)));
    }
    for document in new {
        if !documents::register(tx, &catalog.tenant, kb, document, now).await? {
            return Ok(Some(Accepted::RevisionMoved));
        }
    }
    Ok(None)
}

/// Puts a job of `tenant` into the outbox. A job that lies there already stays.
pub(in crate::embedded) async fn outbox_insert(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    job: &StampedJob,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if job.tenant_id() != tenant {
        return Err(Fault::Conflict("the job was stamped for another tenant"));
    }
    sqlx::query(
        "INSERT INTO outbox (tenant_id, job_id, wire, created_at_us) VALUES (?, ?, ?, ?)
         ON CONFLICT (tenant_id, job_id) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(job.id().to_string())
    .bind(job.wire())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn outbox_delete(catalog: &TenantCatalog, jobs: &[JobId]) -> Result<(), Fault> {
    let mut tx = catalog.file.begin().await?;
    for job in jobs {
        sqlx::query("DELETE FROM outbox WHERE tenant_id = ? AND job_id = ?")
            .bind(catalog.tenant.as_str())
            .bind(job.to_string())
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn outbox_job(catalog: &TenantCatalog, id: JobId) -> Result<Option<String>, Fault> {
    let wire = sqlx::query_scalar("SELECT wire FROM outbox WHERE tenant_id = ? AND job_id = ?")
        .bind(catalog.tenant.as_str())
        .bind(id.to_string())
        .fetch_optional(catalog.file.read())
        .await?;
    Ok(wire)
}
