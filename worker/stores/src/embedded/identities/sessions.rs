use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::embedded::column::{micros, moment, parsed, unsigned};
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{Renewal, Session};

#[derive(sqlx::FromRow)]
struct SessionRow {
    session_id: String,
    user_name: String,
    tenant_id: Option<String>,
    generation: i64,
    expires_at_us: i64,
}

impl TryFrom<SessionRow> for Session {
    type Error = Fault;

    fn try_from(row: SessionRow) -> Result<Self, Fault> {
        let tenant = row.tenant_id.as_deref().map(|id| parsed(id, "identity_sessions.tenant_id"));
        Ok(Self {
            id: parsed(&row.session_id, "identity_sessions.session_id")?,
            user: parsed(&row.user_name, "identity_sessions.user_name")?,
            tenant: tenant.transpose()?,
            generation: unsigned(row.generation, "identity_sessions.generation")?,
            expires_at: moment(row.expires_at_us, "identity_sessions.expires_at_us")?,
        })
    }
}

pub(super) async fn insert(file: &SqliteFile, session: &Session, now: DateTime<Utc>) -> Result<(), Fault> {
    let mut tx = file.begin().await?;
    sqlx::query(
        "DELETE FROM identity_sessions WHERE session_id IN
         (SELECT session_id FROM identity_sessions WHERE expires_at_us <= ? LIMIT 100)",
    )
    .bind(micros(now))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO identity_sessions
         (session_id, user_name, tenant_id, generation, created_at_us, expires_at_us) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(session.id.to_string())
    .bind(session.user.as_str())
    .bind(session.tenant.as_ref().map(jobs::tenant::TenantId::as_str))
    .bind(session.generation)
    .bind(micros(now))
    .bind(micros(session.expires_at))
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn is_live(file: &SqliteFile, id: Uuid, now: DateTime<Utc>) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM identity_sessions
               WHERE session_id = ? AND ended_at_us IS NULL AND expires_at_us > ?";
    let found: Option<i64> =
        sqlx::query_scalar(sql).bind(id.to_string()).bind(micros(now)).fetch_optional(file.read()).await?;
    Ok(found.is_some())
}

pub(super) async fn renew(
    file: &SqliteFile,
    (id, generation): (Uuid, u32),
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Renewal, Fault> {
    let mut tx = file.begin().await?;
    let renewed: Option<SessionRow> = sqlx::query_as(
        "UPDATE identity_sessions SET generation = generation + 1, expires_at_us = ?
         WHERE session_id = ? AND generation = ? AND ended_at_us IS NULL AND expires_at_us > ?
         RETURNING session_id, user_name, tenant_id, generation, expires_at_us",
    )
    .bind(micros(expires_at))
    .bind(id.to_string())
    .bind(generation)
    .bind(micros(now))
    .fetch_optional(&mut *tx)
    .await?;
    let renewal = match renewed {
        Some(row) => Renewal::Renewed(row.try_into()?),
        None if end_at(&mut tx, id, now).await? => Renewal::Reused,
        None => Renewal::Ended,
    };
    tx.commit().await?;
    Ok(renewal)
}

pub(super) async fn end(file: &SqliteFile, id: Uuid, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut tx = file.begin().await?;
    let ended = end_at(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(ended)
}

async fn end_at(tx: &mut SqliteConnection, id: Uuid, now: DateTime<Utc>) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE identity_sessions SET ended_at_us = ?1
         WHERE session_id = ?2 AND ended_at_us IS NULL AND expires_at_us > ?1",
    )
    .bind(micros(now))
    .bind(id.to_string())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
