//! A person accepts an invitation. The write lock of the file makes it happen once.

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;

use super::users::user_insert;
use crate::embedded::catalog::{invitation_of, invitation_spend, member_put, member_total};
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{InvitationAccepted, InvitationSecret, Invitee, OverQuota};

pub(super) async fn accept(
    file: &SqliteFile,
    tenant: &TenantId,
    secret: &InvitationSecret,
    who: &Invitee,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> Result<InvitationAccepted, Fault> {
    let mut tx = file.begin().await?;
    let Some(invitation) = invitation_of(&mut *tx, tenant, secret, now).await? else {
        return Ok(InvitationAccepted::Unknown);
    };
    let identity = who.identity();
    let is_member: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM members WHERE tenant_id = ? AND identity = ? AND status = 'active')",
    )
    .bind(tenant.as_str())
    .bind(identity.to_string())
    .fetch_one(&mut *tx)
    .await?;
    if is_member {
        return Ok(InvitationAccepted::MemberExists);
    }
    let members = member_total(&mut tx, tenant).await?;
    if let Some(over) = maximum.and_then(|maximum| OverQuota::members(members, maximum)) {
        return Ok(InvitationAccepted::OverQuota(over));
    }
    if let Invitee::New(user) = who
        && !user_insert(&mut tx, user, now).await?
    {
        return Ok(InvitationAccepted::UserExists);
    }
    let member = member_put(&mut tx, tenant, &identity, invitation.role, now).await?;
    invitation_spend(&mut tx, tenant, invitation.id).await?;
    tx.commit().await?;
    Ok(InvitationAccepted::Member(member))
}
