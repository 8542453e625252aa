use chrono::{DateTime, Utc};
use jobs::tenant::Identity;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::model::{Membership, User, UserChange, UserName};
use crate::ports::StoreResult;
use crate::postgres::pool::{Postgres, Reader};
use crate::postgres::row::{parsed, tenant_id};
use crate::postgres::tx::Tx;

pub(super) async fn user(postgres: &Postgres, name: &UserName) -> StoreResult<Option<User>> {
    let sql = sqlx::query("select name, password_hash from tenantry.users where name = $1");
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.user").await?;
    let found = tx.optional(sql.bind(name.as_str()), read_user).await?;
    tx.commit().await?;
    Ok(found)
}

fn read_user(row: &PgRow) -> sqlx::Result<User> {
    Ok(User { name: parsed(row, "name")?, password_hash: row.try_get("password_hash")? })
}

/// Makes a user, in a transaction that is `tenantry_identity`. Returns whether the name was free.
pub(in crate::postgres) async fn user_insert(
    tx: &mut Tx,
    user: &User,
    now: DateTime<Utc>,
) -> StoreResult<bool> {
    let sql = sqlx::query(
        "insert into tenantry.users (name, password_hash, created_at) values ($1, $2, $3) \
         on conflict (name) do nothing",
    );
    Ok(tx.execute(sql.bind(user.name.as_str()).bind(&user.password_hash).bind(now)).await? == 1)
}

pub(super) async fn user_put(
    postgres: &Postgres,
    user: &User,
    now: DateTime<Utc>,
) -> StoreResult<UserChange> {
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.user_put").await?;
    if user_insert(&mut tx, user, now).await? {
        tx.commit().await?;
        return Ok(UserChange::Made);
    }
    let change =
        sqlx::query("update tenantry.users set password_hash = $2 where name = $1 and password_hash <> $2");
    if tx.execute(change.bind(user.name.as_str()).bind(&user.password_hash)).await? == 0 {
        return Ok(UserChange::Same);
    }
    let end =
        sqlx::query("update tenantry.sessions set ended_at = $2 where user_name = $1 and ended_at is null");
    tx.execute(end.bind(user.name.as_str()).bind(now)).await?;
    tx.commit().await?;
    Ok(UserChange::PasswordChanged)
}

pub(super) async fn password_put(
    postgres: &Postgres,
    user: &User,
    kept: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<bool> {
    let change = sqlx::query("update tenantry.users set password_hash = $2 where name = $1");
    let end = sqlx::query(
        "update tenantry.sessions set ended_at = $2 \
         where user_name = $1 and session_id <> $3 and ended_at is null",
    );
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.password_put").await?;
    let known = tx.execute(change.bind(user.name.as_str()).bind(&user.password_hash)).await? == 1;
    tx.execute(end.bind(user.name.as_str()).bind(now).bind(kept)).await?;
    tx.commit().await?;
    Ok(known)
}

/// A membership from before identities named their provider counts where there is none of the identity's own.
pub(super) async fn memberships(postgres: &Postgres, identity: &Identity) -> StoreResult<Vec<Membership>> {
    let sql = sqlx::query(
        "select tenant_id, tenants.name, members.role from members join tenants using (tenant_id) \
         where removed_at is null and tenants.status <> 'deprovisioning' and (identity = $1 \
             or identity = $2 and tenant_id not in (select tenant_id from members where identity = $1)) \
         order by tenant_id",
    );
    let sql = sql.bind(identity.to_string()).bind(identity.legacy().map(|legacy| legacy.to_string()));
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.memberships").await?;
    let found = tx.all(sql, read_membership).await?;
    tx.commit().await?;
    Ok(found)
}

fn read_membership(row: &PgRow) -> sqlx::Result<Membership> {
    Ok(Membership { tenant: tenant_id(row)?, tenant_name: row.try_get("name")?, role: parsed(row, "role")? })
}
