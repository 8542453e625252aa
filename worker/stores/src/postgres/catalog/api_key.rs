//! The tenant's API keys.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::{ApiKeyId, KbId, Role};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::port::PgCatalog;
use super::{tenant, usage};
use crate::model::{
    ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, KeyEnd, NewApiKey, Page, allowed, scope_text,
};
use crate::page;
use crate::ports::{ApiKeys, StoreResult};
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::{Sql, Tx};
use crate::retention::{REVOKED_KEPT_MAX, REVOKED_PRUNED};

const SELECT: &str = "select * from api_keys where tenant_id = $1 and key_id = $2 and revoked_at is null";

fn select<'a>(db: &'a TenantDb, id: &'a ApiKeyId) -> Sql<'a> {
    sqlx::query(SELECT).bind(db.tenant().as_str()).bind(id.as_str())
}

fn insert<'a>(db: &'a TenantDb, key: &'a NewApiKey, now: DateTime<Utc>) -> Sql<'a> {
    let sql = sqlx::query(
        "insert into api_keys (tenant_id, key_id, name, secret_sha256, role, kb_id, permissions, created_by, \
                               expires_at, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (tenant_id, key_id) do nothing",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(key.id.as_str()).bind(&key.name).bind(&key.secret_sha256);
    let sql = sql.bind(key.role.as_str()).bind(key.kb_id.as_ref().map(KbId::as_str));
    sql.bind(key.permissions.map(scope_text)).bind(key.created_by.as_deref()).bind(key.expires_at).bind(now)
}

fn update<'a>(db: &'a TenantDb, id: &'a ApiKeyId, edit: &'a ApiKeyEdit) -> Sql<'a> {
    let (tenant, id) = (db.tenant().as_str(), id.as_str());
    match edit {
        ApiKeyEdit::Details { name, end } => sqlx::query(
            "update api_keys set name = coalesce($3, name), revision = revision + 1, \
                 expires_at = case when $4 then $5 else expires_at end \
             where tenant_id = $1 and key_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .bind(name.as_deref())
        .bind(end.is_some())
        .bind(end.and_then(KeyEnd::at)),
        ApiKeyEdit::Secret { sha256, previous_until } => sqlx::query(
            "update api_keys set previous_until = $4, secret_sha256 = $3, revision = revision + 1, \
                 previous_sha256 = case when $4::timestamptz is null then null else secret_sha256 end \
             where tenant_id = $1 and key_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .bind(sha256)
        .bind(*previous_until),
        ApiKeyEdit::Revoked(at) => sqlx::query(
            "update api_keys set revoked_at = $3, revision = revision + 1 \
             where tenant_id = $1 and key_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .bind(*at),
    }
}

/// Whether another key has the name. Nobody else names one before a transaction ends that has the tenant's lock.
async fn name_taken(tx: &mut Tx, db: &TenantDb, name: &str, but: &ApiKeyId) -> StoreResult<bool> {
    let taken = sqlx::query(
        "select exists (select from api_keys \
                        where tenant_id = $1 and name = $2 and key_id <> $3 and revoked_at is null)",
    );
    tx.one(taken.bind(db.tenant().as_str()).bind(name).bind(but.as_str()), |row| row.try_get(0)).await
}

/// Removes some keys that were revoked before the latest ones: more than one insertion adds.
async fn revoked_prune(tx: &mut Tx, db: &TenantDb) -> StoreResult<()> {
    let sql = sqlx::query(
        "delete from api_keys where tenant_id = $1 and key_id in ( \
             select key_id from api_keys where tenant_id = $1 and revoked_at is not null \
             order by revoked_at desc, key_id offset $2 limit $3 for update skip locked)",
    );
    tx.execute(sql.bind(db.tenant().as_str()).bind(REVOKED_KEPT_MAX).bind(REVOKED_PRUNED)).await.map(drop)
}

fn read_key(row: &PgRow) -> sqlx::Result<ApiKeyRow> {
    let role: Role = row::parsed(row, "role")?;
    Ok(ApiKeyRow {
        id: row::parsed(row, "key_id")?,
        name: row.try_get("name")?,
        role,
        kb_id: row::parsed_optional(row, "kb_id")?,
        permissions: allowed(role, row.try_get("permissions")?)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        created_by: row.try_get("created_by")?,
        revision: row::number(row, "revision")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        previous_until: row.try_get("previous_until")?,
    })
}

#[async_trait::async_trait]
impl ApiKeys for PgCatalog {
    async fn api_key(&self, id: &ApiKeyId) -> StoreResult<Option<ApiKeyRow>> {
        let mut tx = self.db.tx("catalog.api_key").await?;
        let found = tx.optional(select(&self.db, id), read_key).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn api_keys(&self, after: Option<&ApiKeyId>, limit: u32) -> StoreResult<Page<ApiKeyRow>> {
        let sql = sqlx::query(
            "select * from api_keys where tenant_id = $1 and key_id > $2 and revoked_at is null \
             order by key_id limit $3",
        );
        let sql = sql.bind(self.db.tenant().as_str()).bind(after.map_or("", ApiKeyId::as_str));
        let mut tx = self.db.tx("catalog.api_keys").await?;
        let found = tx.all(sql.bind(i64::from(page::rows_for(limit))), read_key).await?;
        tx.commit().await?;
        Ok(page::cut(found, limit, |key| key.id.to_string()))
    }

    async fn api_key_ensure(&self, key: &NewApiKey, now: DateTime<Utc>) -> StoreResult<()> {
        let stored = async {
            let mut tx = self.db.tx("catalog.api_key_ensure").await?;
            tx.execute(insert(&self.db, key, now)).await?;
            tx.commit().await
        };
        // Also after a fault: it may have happened.
        let stored = stored.await;
        self.announced(stored).await
    }

    async fn api_key_insert(
        &self,
        key: &NewApiKey,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<ApiKeyMade> {
        let mut tx = self.db.tx("catalog.api_key_insert").await?;
        tenant::lock(&mut tx, &self.db).await?;
        if name_taken(&mut tx, &self.db, &key.name, &key.id).await?
            || tx.execute(insert(&self.db, key, now)).await? == 0
        {
            return Ok(ApiKeyMade::NameTaken);
        }
        let over = usage::last_refused(&mut tx, &self.db, limits, Quota::MaxApiKeys, now).await?;
        if let Some(over) = over {
            return Ok(ApiKeyMade::OverQuota(over));
        }
        let stored = tx.one(select(&self.db, &key.id), read_key).await?;
        revoked_prune(&mut tx, &self.db).await?;
        tx.commit().await?;
        Ok(self.announced(ApiKeyMade::Done(stored)).await)
    }

    async fn api_key_change(
        &self,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
        revision: Option<u64>,
    ) -> StoreResult<ApiKeyChange> {
        let mut tx = self.db.tx("catalog.api_key_change").await?;
        if matches!(edit, ApiKeyEdit::Details { name: Some(_), .. }) {
            tenant::lock(&mut tx, &self.db).await?;
        }
        let locked = sqlx::query(
            "select * from api_keys where tenant_id = $1 and key_id = $2 and revoked_at is null for update",
        );
        let locked = locked.bind(self.db.tenant().as_str()).bind(id.as_str());
        let Some(before) = tx.optional(locked, read_key).await? else { return Ok(ApiKeyChange::Unknown) };
        if revision.is_some_and(|revision| revision != before.revision) {
            return Ok(ApiKeyChange::Stale);
        }
        if let ApiKeyEdit::Details { name: Some(name), .. } = edit
            && name_taken(&mut tx, &self.db, name, id).await?
        {
            return Ok(ApiKeyChange::NameTaken);
        }
        tx.execute(update(&self.db, id, edit)).await?;
        let after = tx.optional(select(&self.db, id), read_key).await?;
        tx.commit().await?;
        Ok(self.announced(ApiKeyChange::Done(after.unwrap_or(before))).await)
    }

    async fn api_key_used(&self, id: &ApiKeyId, now: DateTime<Utc>) -> StoreResult<()> {
        let sql = sqlx::query(
            "update api_keys set last_used_at = $3 \
             where tenant_id = $1 and key_id = $2 and (last_used_at is null or last_used_at <= $4)",
        );
        let sql = sql.bind(self.db.tenant().as_str()).bind(id.as_str()).bind(now);
        let mut tx = self.db.tx("catalog.api_key_used").await?;
        tx.execute(sql.bind(now - TimeDelta::minutes(1))).await?;
        tx.commit().await
    }
}
