//! Offers of a membership that are not accepted yet.

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::members::member_total;
use super::port::TenantCatalog;
use crate::embedded::column::{micros, moment, parsed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{Invitation, InvitationSecret, Invited, Page};
use crate::page;

#[derive(sqlx::FromRow)]
struct InvitationRow {
    invitation_id: String,
    subject: String,
    role: String,
    created_by: String,
    created_at_us: i64,
    expires_at_us: i64,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = Fault;

    fn try_from(row: InvitationRow) -> Result<Self, Fault> {
        Ok(Self {
            id: parsed(&row.invitation_id, "invitations.invitation_id")?,
            subject: parsed(&row.subject, "invitations.subject")?,
            role: parsed(&row.role, "invitations.role")?,
            created_by: row.created_by,
            created_at: moment(row.created_at_us, "invitations.created_at_us")?,
            expires_at: moment(row.expires_at_us, "invitations.expires_at_us")?,
        })
    }
}

/// How many are open.
pub(in crate::embedded) async fn open_total(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM invitations WHERE tenant_id = ? AND expires_at_us > ?")
            .bind(tenant.as_str())
            .bind(micros(now))
            .fetch_one(tx)
            .await?;
    unsigned(total, "count(*)")
}

pub(super) async fn insert(
    catalog: &TenantCatalog,
    invitation: &Invitation,
    sha256: &str,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> Result<Invited, Fault> {
    let mut tx = catalog.file.begin().await?;
    sqlx::query("DELETE FROM invitations WHERE tenant_id = ? AND expires_at_us <= ?")
        .bind(catalog.tenant.as_str())
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
    let members = member_total(&mut tx, &catalog.tenant).await?;
    let open = open_total(&mut tx, &catalog.tenant, now).await?;
    let done = sqlx::query(
        "INSERT INTO invitations (tenant_id, invitation_id, subject, role, secret_sha256, created_by,
             created_at_us, expires_at_us)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, subject) DO NOTHING",
    )
    .bind(catalog.tenant.as_str())
    .bind(invitation.id.to_string())
    .bind(invitation.subject.as_str())
    .bind(invitation.role.as_str())
    .bind(sha256)
    .bind(&invitation.created_by)
    .bind(micros(invitation.created_at))
    .bind(micros(invitation.expires_at))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Invited::Known);
    }
    if let Some(refused) = Invited::refused(members, open, maximum) {
        return Ok(refused);
    }
    tx.commit().await?;
    Ok(Invited::New)
}

pub(super) async fn invitation(
    catalog: &TenantCatalog,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, Fault> {
    let row: Option<InvitationRow> = sqlx::query_as(
        "SELECT * FROM invitations WHERE tenant_id = ? AND invitation_id = ? AND expires_at_us > ?",
    )
    .bind(catalog.tenant.as_str())
    .bind(id.to_string())
    .bind(micros(now))
    .fetch_optional(catalog.file.read())
    .await?;
    row.map(Invitation::try_from).transpose()
}

pub(super) async fn page(
    catalog: &TenantCatalog,
    after: Option<Uuid>,
    limit: u32,
    now: DateTime<Utc>,
) -> Result<Page<Invitation>, Fault> {
    let rows: Vec<InvitationRow> = sqlx::query_as(
        "SELECT * FROM invitations WHERE tenant_id = ? AND invitation_id > ? AND expires_at_us > ?
         ORDER BY invitation_id LIMIT ?",
    )
    .bind(catalog.tenant.as_str())
    .bind(after.map(|id| id.to_string()).unwrap_or_default())
    .bind(micros(now))
    .bind(page::rows_for(limit))
    .fetch_all(catalog.file.read())
    .await?;
    let items = rows.into_iter().map(Invitation::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(page::cut(items, limit, |invitation| invitation.id.to_string()))
}

pub(super) async fn delete(catalog: &TenantCatalog, id: Uuid) -> Result<bool, Fault> {
    let done = sqlx::query("DELETE FROM invitations WHERE tenant_id = ? AND invitation_id = ?")
        .bind(catalog.tenant.as_str())
        .bind(id.to_string())
        .execute(catalog.file.write())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The one that is open and has this secret, while the tenant takes members.
pub(in crate::embedded) async fn of_secret(
    reader: impl sqlx::SqliteExecutor<'_>,
    tenant: &TenantId,
    secret: &InvitationSecret,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, Fault> {
    let row: Option<InvitationRow> = sqlx::query_as(
        "SELECT * FROM invitations
         WHERE tenant_id = ?1 AND invitation_id = ?2 AND secret_sha256 = ?3 AND expires_at_us > ?4
             AND EXISTS (SELECT 1 FROM tenants
                         WHERE tenant_id = ?1 AND status IN ('provisioning', 'active'))",
    )
    .bind(tenant.as_str())
    .bind(secret.id.to_string())
    .bind(&secret.sha256)
    .bind(micros(now))
    .fetch_optional(reader)
    .await?;
    row.map(Invitation::try_from).transpose()
}

/// Uses an invitation up.
pub(in crate::embedded) async fn spend(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    id: Uuid,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM invitations WHERE tenant_id = ? AND invitation_id = ?")
        .bind(tenant.as_str())
        .bind(id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}
