use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::model::{Renewal, Session};
use crate::ports::StoreResult;
use crate::postgres::pool::{Postgres, Reader};
use crate::postgres::row::{number, parsed};
use crate::postgres::tx::Tx;

fn read_session(row: &PgRow) -> sqlx::Result<Session> {
    let tenant: Option<&str> = row.try_get("tenant_id")?;
    Ok(Session {
        id: row.try_get("session_id")?,
        user: parsed(row, "user_name")?,
        tenant: tenant.map(|_| parsed::<TenantId>(row, "tenant_id")).transpose()?,
        generation: number(row, "generation")?,
        expires_at: row.try_get("expires_at")?,
    })
}

pub(super) async fn insert(postgres: &Postgres, session: &Session, now: DateTime<Utc>) -> StoreResult<()> {
    let prune = sqlx::query(
        "delete from tenantry.sessions where session_id in ( \
             select session_id from tenantry.sessions where expires_at <= $1 limit 100 \
             for update skip locked)",
    );
    let insert = sqlx::query(
        "insert into tenantry.sessions \
         (session_id, user_name, tenant_id, generation, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)",
    );
    let insert = insert.bind(session.id).bind(session.user.as_str());
    let insert = insert.bind(session.tenant.as_ref().map(TenantId::as_str));
    let insert = insert.bind(i64::from(session.generation)).bind(now).bind(session.expires_at);
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.session_insert").await?;
    tx.execute(prune.bind(now)).await?;
    tx.execute(insert).await?;
    tx.commit().await
}

pub(super) async fn is_live(postgres: &Postgres, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
    let sql = sqlx::query(
        "select from tenantry.sessions where session_id = $1 and ended_at is null and expires_at > $2",
    );
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.session_is_live").await?;
    let found = tx.optional(sql.bind(id).bind(now), |_| Ok(())).await?;
    tx.commit().await?;
    Ok(found.is_some())
}

pub(super) async fn renew(
    postgres: &Postgres,
    (id, generation): (Uuid, u32),
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> StoreResult<Renewal> {
    let sql = sqlx::query(
        "update tenantry.sessions set generation = generation + 1, expires_at = $4 \
         where session_id = $1 and generation = $2 and ended_at is null and expires_at > $3 \
         returning session_id, user_name, tenant_id, generation, expires_at",
    );
    let sql = sql.bind(id).bind(i64::from(generation)).bind(now).bind(expires_at);
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.session_renew").await?;
    let renewal = match tx.optional(sql, read_session).await? {
        Some(session) => Renewal::Renewed(session),
        None if end_in(&mut tx, id, now).await? => Renewal::Reused,
        None => Renewal::Ended,
    };
    tx.commit().await?;
    Ok(renewal)
}

pub(super) async fn end(postgres: &Postgres, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.session_end").await?;
    let ended = end_in(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(ended)
}

async fn end_in(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
    let sql = sqlx::query(
        "update tenantry.sessions set ended_at = $2 \
         where session_id = $1 and ended_at is null and expires_at > $2",
    );
    Ok(tx.execute(sql.bind(id).bind(now)).await? == 1)
}
