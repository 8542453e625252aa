//! Offers of a membership that are not accepted yet.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{member, tenant};
use crate::model::{Invitation, InvitationSecret, Invited, Page};
use crate::page;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;

fn read(row: &PgRow) -> sqlx::Result<Invitation> {
    Ok(Invitation {
        id: row.try_get("invitation_id")?,
        subject: row::parsed(row, "subject")?,
        role: row::parsed(row, "role")?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

/// How many are open.
pub(in crate::postgres) async fn open_total(
    tx: &mut Tx,
    db: &TenantDb,
    now: DateTime<Utc>,
) -> StoreResult<u64> {
    let sql =
        sqlx::query("select count(*) as total from invitations where tenant_id = $1 and expires_at > $2");
    tx.one(sql.bind(db.tenant().as_str()).bind(now), |row| row::number(row, "total")).await
}

pub(super) async fn insert(
    db: &TenantDb,
    new: &Invitation,
    sha256: &str,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> StoreResult<Invited> {
    let prune = sqlx::query("delete from invitations where tenant_id = $1 and expires_at <= $2");
    let insert = sqlx::query(
        "insert into invitations (tenant_id, invitation_id, subject, role, secret_sha256, created_by, \
             created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, subject) do nothing",
    );
    let insert = insert.bind(db.tenant().as_str()).bind(new.id).bind(new.subject.as_str());
    let insert = insert.bind(new.role.as_str()).bind(sha256).bind(&new.created_by);
    let mut tx = db.tx("catalog.invitation_insert").await?;
    // What is counted stays so.
    tenant::lock(&mut tx, db).await?;
    tx.execute(prune.bind(db.tenant().as_str()).bind(now)).await?;
    let (members, open) = (member::total(&mut tx, db).await?, open_total(&mut tx, db, now).await?);
    if tx.execute(insert.bind(new.created_at).bind(new.expires_at)).await? == 0 {
        return Ok(Invited::Known);
    }
    if let Some(refused) = Invited::refused(members, open, maximum) {
        return Ok(refused);
    }
    tx.commit().await?;
    Ok(Invited::New)
}

pub(super) async fn invitation(
    db: &TenantDb,
    id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Option<Invitation>> {
    let sql = sqlx::query(
        "select * from invitations where tenant_id = $1 and invitation_id = $2 and expires_at > $3",
    );
    let mut tx = db.tx("catalog.invitation").await?;
    let found = tx.optional(sql.bind(db.tenant().as_str()).bind(id).bind(now), read).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn page(
    db: &TenantDb,
    after: Option<Uuid>,
    limit: u32,
    now: DateTime<Utc>,
) -> StoreResult<Page<Invitation>> {
    let sql = sqlx::query(
        "select * from invitations where tenant_id = $1 and ($2::uuid is null or invitation_id > $2) \
         and expires_at > $3 order by invitation_id limit $4",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(after).bind(now).bind(i64::from(page::rows_for(limit)));
    let mut tx = db.tx("catalog.invitations").await?;
    let found = tx.all(sql, read).await?;
    tx.commit().await?;
    Ok(page::cut(found, limit, |invitation| invitation.id.to_string()))
}

/// Returns whether it was there.
pub(in crate::postgres) async fn delete(tx: &mut Tx, db: &TenantDb, id: Uuid) -> StoreResult<bool> {
    let sql = sqlx::query("delete from invitations where tenant_id = $1 and invitation_id = $2");
    Ok(tx.execute(sql.bind(db.tenant().as_str()).bind(id)).await? == 1)
}

/// The one that is open and has this secret, while the tenant takes members.
pub(in crate::postgres) async fn of_secret(
    tx: &mut Tx,
    db: &TenantDb,
    secret: &InvitationSecret,
    now: DateTime<Utc>,
) -> StoreResult<Option<Invitation>> {
    let sql = sqlx::query(
        "select * from invitations \
         where tenant_id = $1 and invitation_id = $2 and secret_sha256 = $3 and expires_at > $4 \
             and exists (select from tenants \
                         where tenant_id = $1 and status in ('provisioning', 'active'))",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(secret.id).bind(&secret.sha256);
    tx.optional(sql.bind(now), read).await
}
