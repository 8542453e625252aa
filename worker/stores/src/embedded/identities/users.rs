use chrono::{DateTime, Utc};
use jobs::tenant::Identity;
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::embedded::column::{micros, parsed};
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{Membership, User, UserChange, UserName};

pub(super) async fn user(file: &SqliteFile, name: &UserName) -> Result<Option<User>, Fault> {
    let hash: Option<String> = sqlx::query_scalar("SELECT password_hash FROM identity_users WHERE name = ?")
        .bind(name.as_str())
        .fetch_optional(file.read())
        .await?;
    Ok(hash.map(|password_hash| User { name: name.clone(), password_hash }))
}

/// Makes a user. Returns whether the name was free.
pub(in crate::embedded) async fn user_insert(
    tx: &mut SqliteConnection,
    user: &User,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "INSERT INTO identity_users (name, password_hash, created_at_us) VALUES (?, ?, ?)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(user.name.as_str())
    .bind(&user.password_hash)
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn user_put(
    file: &SqliteFile,
    user: &User,
    now: DateTime<Utc>,
) -> Result<UserChange, Fault> {
    let mut tx = file.begin().await?;
    if user_insert(&mut tx, user, now).await? {
        tx.commit().await?;
        return Ok(UserChange::Made);
    }
    let done =
        sqlx::query("UPDATE identity_users SET password_hash = ?1 WHERE name = ?2 AND password_hash <> ?1")
            .bind(&user.password_hash)
            .bind(user.name.as_str())
            .execute(&mut *tx)
            .await?;
    if done.rows_affected() == 0 {
        return Ok(UserChange::Same);
    }
    sqlx::query("UPDATE identity_sessions SET ended_at_us = ? WHERE user_name = ? AND ended_at_us IS NULL")
        .bind(micros(now))
        .bind(user.name.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(UserChange::PasswordChanged)
}

pub(super) async fn password_put(
    file: &SqliteFile,
    user: &User,
    kept: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let mut tx = file.begin().await?;
    let done = sqlx::query("UPDATE identity_users SET password_hash = ? WHERE name = ?")
        .bind(&user.password_hash)
        .bind(user.name.as_str())
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE identity_sessions SET ended_at_us = ?
         WHERE user_name = ? AND session_id <> ? AND ended_at_us IS NULL",
    )
    .bind(micros(now))
    .bind(user.name.as_str())
    .bind(kept.to_string())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// A membership from before identities named their provider counts where there is none of the identity's own.
pub(super) async fn memberships(file: &SqliteFile, identity: &Identity) -> Result<Vec<Membership>, Fault> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT tenant_id, tenants.name, members.role FROM members JOIN tenants USING (tenant_id)
         WHERE members.status = 'active' AND tenants.status <> 'deprovisioning' AND (identity = ?1
             OR identity = ?2 AND tenant_id NOT IN (SELECT tenant_id FROM members WHERE identity = ?1))
         ORDER BY tenant_id",
    )
    .bind(identity.to_string())
    .bind(identity.legacy().map(|legacy| legacy.to_string()))
    .fetch_all(file.read())
    .await?;
    let membership = |(tenant, tenant_name, role): (String, String, String)| {
        let (tenant, role) = (parsed(&tenant, "members.tenant_id")?, parsed(&role, "members.role")?);
        Ok(Membership { tenant, tenant_name, role })
    };
    rows.into_iter().map(membership).collect()
}
