//! A person accepts an invitation. The tenant's lock makes it happen once.

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use sqlx::Row as _;

use super::users::user_insert;
use crate::model::{Invitation, InvitationAccepted, InvitationSecret, Invitee, OverQuota};
use crate::ports::StoreResult;
use crate::postgres::catalog::{invitation_delete, invitation_of, member_put, member_total, tenant_lock};
use crate::postgres::pool::{Postgres, Reader};

pub(super) async fn find(
    postgres: &Postgres,
    tenant: &TenantId,
    secret: &InvitationSecret,
    now: DateTime<Utc>,
) -> StoreResult<Option<Invitation>> {
    let db = postgres.tenant(tenant);
    let mut tx = db.tx("identities.invitation_of").await?;
    let found = invitation_of(&mut tx, &db, secret, now).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn accept(
    postgres: &Postgres,
    tenant: &TenantId,
    secret: &InvitationSecret,
    who: &Invitee,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> StoreResult<InvitationAccepted> {
    let db = postgres.tenant(tenant);
    let mut tx = db.tx("identities.invitation_accept").await?;
    // Others that accept, invite, or close the tenant wait here.
    tenant_lock(&mut tx, &db).await?;
    let Some(invitation) = invitation_of(&mut tx, &db, secret, now).await? else {
        return Ok(InvitationAccepted::Unknown);
    };
    let identity = who.identity();
    let known = sqlx::query(
        "select exists (select from members \
                        where tenant_id = $1 and identity = $2 and removed_at is null)",
    );
    let known = known.bind(tenant.as_str()).bind(identity.to_string());
    if tx.one(known, |row| row.try_get(0)).await? {
        return Ok(InvitationAccepted::MemberExists);
    }
    let members = member_total(&mut tx, &db).await?;
    if let Some(over) = maximum.and_then(|maximum| OverQuota::members(members, maximum)) {
        return Ok(InvitationAccepted::OverQuota(over));
    }
    if let Invitee::New(user) = who {
        tx.execute(sqlx::query(Reader::Identity.set_role())).await?;
        let made = user_insert(&mut tx, user, now).await?;
        tx.execute(sqlx::query("set local role none")).await?;
        if !made {
            return Ok(InvitationAccepted::UserExists);
        }
    }
    let member = member_put(&mut tx, &db, &identity, invitation.role, now).await?;
    invitation_delete(&mut tx, &db, invitation.id).await?;
    tx.commit().await?;
    Ok(InvitationAccepted::Member(member))
}
