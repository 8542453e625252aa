//! The tenant's API keys.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::{ApiKeyId, KbId, Role};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use super::usage;
use crate::deadline::CALL;
use crate::embedded::column::{micros, moment, parsed, unsigned};
use crate::embedded::fault::{Fault, call};
use crate::model::{
    ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, KeyEnd, NewApiKey, Page, allowed, scope_text,
};
use crate::page;
use crate::ports::{ApiKeys, StoreResult};
use crate::retention::{REVOKED_KEPT_MAX, REVOKED_PRUNED};

#[derive(sqlx::FromRow)]
struct KeyRow {
    key_id: String,
    name: String,
    role: String,
    kb_id: Option<String>,
    permissions: Option<String>,
    created_by: Option<String>,
    revision: i64,
    created_at_us: i64,
    expires_at_us: Option<i64>,
    last_used_at_us: Option<i64>,
    previous_until_us: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKeyRow {
    type Error = Fault;

    fn try_from(row: KeyRow) -> Result<Self, Fault> {
        let role: Role = parsed(&row.role, "api_keys.role")?;
        let at = |us: Option<i64>, column| us.map(|us| moment(us, column)).transpose();
        let permissions = allowed(role, row.permissions.as_deref());
        Ok(Self {
            id: parsed(&row.key_id, "api_keys.key_id")?,
            name: row.name,
            role,
            kb_id: row.kb_id.map(|kb| parsed(&kb, "api_keys.kb_id")).transpose()?,
            permissions: permissions.map_err(|_| Fault::Column("api_keys.permissions"))?,
            created_by: row.created_by,
            revision: unsigned(row.revision, "api_keys.revision")?,
            created_at: moment(row.created_at_us, "api_keys.created_at_us")?,
            expires_at: at(row.expires_at_us, "api_keys.expires_at_us")?,
            last_used_at: at(row.last_used_at_us, "api_keys.last_used_at_us")?,
            previous_until: at(row.previous_until_us, "api_keys.previous_until_us")?,
        })
    }
}

const SELECT: &str = "SELECT * FROM api_keys WHERE tenant_id = ? AND key_id = ? AND revoked_at_us IS NULL";

impl TenantCatalog {
    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKeyRow>, Fault> {
        let mut reader = self.file.read().acquire().await?;
        self.key_row(&mut reader, id).await
    }

    async fn key_row(&self, tx: &mut SqliteConnection, id: &ApiKeyId) -> Result<Option<ApiKeyRow>, Fault> {
        let row: Option<KeyRow> =
            sqlx::query_as(SELECT).bind(self.tenant.as_str()).bind(id.as_str()).fetch_optional(tx).await?;
        row.map(ApiKeyRow::try_from).transpose()
    }

    async fn key_page(&self, after: Option<&ApiKeyId>, limit: u32) -> Result<Page<ApiKeyRow>, Fault> {
        let rows: Vec<KeyRow> = sqlx::query_as(
            "SELECT * FROM api_keys WHERE tenant_id = ? AND key_id > ? AND revoked_at_us IS NULL
             ORDER BY key_id LIMIT ?",
        )
        .bind(self.tenant.as_str())
        .bind(after.map_or("", ApiKeyId::as_str))
        .bind(page::rows_for(limit))
        .fetch_all(self.file.read())
        .await?;
        let items = rows.into_iter().map(ApiKeyRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(page::cut(items, limit, |key| key.id.to_string()))
    }

    /// Stores a key unless its id is known. Returns whether it was not.
    async fn key_store(
        &self,
        tx: &mut SqliteConnection,
        key: &NewApiKey,
        now: DateTime<Utc>,
    ) -> Result<bool, Fault> {
        let done = sqlx::query(
            "INSERT INTO api_keys (tenant_id, key_id, name, secret_sha256, role, kb_id, permissions, created_by,
                                   expires_at_us, created_at_us)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, key_id) DO NOTHING",
        )
        .bind(self.tenant.as_str())
        .bind(key.id.as_str())
        .bind(&key.name)
        .bind(&key.secret_sha256)
        .bind(key.role.as_str())
        .bind(key.kb_id.as_ref().map(KbId::as_str))
        .bind(key.permissions.map(scope_text))
        .bind(key.created_by.as_deref())
        .bind(key.expires_at.map(micros))
        .bind(micros(now))
        .execute(tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn key_ensure(&self, key: &NewApiKey, now: DateTime<Utc>) -> Result<(), Fault> {
        let mut tx = self.file.begin().await?;
        self.key_store(&mut tx, key, now).await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(())
    }

    async fn name_taken(&self, tx: &mut SqliteConnection, name: &str, but: &ApiKeyId) -> Result<bool, Fault> {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM api_keys
                 WHERE tenant_id = ? AND name = ? AND key_id <> ? AND revoked_at_us IS NULL)",
        )
        .bind(self.tenant.as_str())
        .bind(name)
        .bind(but.as_str())
        .fetch_one(tx)
        .await?)
    }

    /// Removes some keys that were revoked before the latest ones: more than one insertion adds.
    async fn revoked_prune(&self, tx: &mut SqliteConnection) -> Result<(), Fault> {
        sqlx::query(
            "DELETE FROM api_keys WHERE tenant_id = ?1 AND key_id IN (
                 SELECT key_id FROM api_keys WHERE tenant_id = ?1 AND revoked_at_us IS NOT NULL
                 ORDER BY revoked_at_us DESC, key_id LIMIT ?3 OFFSET ?2)",
        )
        .bind(self.tenant.as_str())
        .bind(REVOKED_KEPT_MAX)
        .bind(REVOKED_PRUNED)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn key_insert(
        &self,
        key: &NewApiKey,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<ApiKeyMade, Fault> {
        let mut tx = self.file.begin().await?;
        if self.name_taken(&mut tx, &key.name, &key.id).await? || !self.key_store(&mut tx, key, now).await? {
            return Ok(ApiKeyMade::NameTaken);
        }
        if let Some(over) = usage::last_refused(&mut tx, &self.tenant, limits, Quota::MaxApiKeys, now).await?
        {
            return Ok(ApiKeyMade::OverQuota(over));
        }
        let Some(stored) = self.key_row(&mut tx, &key.id).await? else { return Ok(ApiKeyMade::NameTaken) };
        self.revoked_prune(&mut tx).await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(ApiKeyMade::Done(stored))
    }

    async fn key_change(
        &self,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
        revision: Option<u64>,
    ) -> Result<ApiKeyChange, Fault> {
        let mut tx = self.file.begin().await?;
        let Some(before) = self.key_row(&mut tx, id).await? else { return Ok(ApiKeyChange::Unknown) };
        if revision.is_some_and(|revision| revision != before.revision) {
            return Ok(ApiKeyChange::Stale);
        }
        if let ApiKeyEdit::Details { name: Some(name), .. } = edit
            && self.name_taken(&mut tx, name, id).await?
        {
            return Ok(ApiKeyChange::NameTaken);
        }
        self.key_edit(&mut tx, id, edit).await?;
        let after = self.key_row(&mut tx, id).await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(ApiKeyChange::Done(after.unwrap_or(before)))
    }

    async fn key_edit(
        &self,
        tx: &mut SqliteConnection,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
    ) -> Result<(), Fault> {
        let query = match edit {
            ApiKeyEdit::Details { name, end } => sqlx::query(
                "UPDATE api_keys SET name = coalesce(?3, name), revision = revision + 1,
                     expires_at_us = CASE WHEN ?4 THEN ?5 ELSE expires_at_us END
                 WHERE tenant_id = ?1 AND key_id = ?2",
            )
            .bind(self.tenant.as_str())
            .bind(id.as_str())
            .bind(name.as_deref())
            .bind(end.is_some())
            .bind(end.and_then(KeyEnd::at).map(micros)),
            ApiKeyEdit::Secret { sha256, previous_until } => sqlx::query(
                "UPDATE api_keys SET previous_sha256 = CASE WHEN ?4 IS NULL THEN NULL ELSE secret_sha256 END,
                     previous_until_us = ?4, secret_sha256 = ?3, revision = revision + 1
                 WHERE tenant_id = ?1 AND key_id = ?2",
            )
            .bind(self.tenant.as_str())
            .bind(id.as_str())
            .bind(sha256)
            .bind(previous_until.map(micros)),
            ApiKeyEdit::Revoked(at) => sqlx::query(
                "UPDATE api_keys SET revoked_at_us = ?3, revision = revision + 1
                 WHERE tenant_id = ?1 AND key_id = ?2",
            )
            .bind(self.tenant.as_str())
            .bind(id.as_str())
            .bind(micros(*at)),
        };
        query.execute(tx).await?;
        Ok(())
    }

    async fn key_used(&self, id: &ApiKeyId, now: DateTime<Utc>) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE api_keys SET last_used_at_us = ?3
             WHERE tenant_id = ?1 AND key_id = ?2 AND (last_used_at_us IS NULL OR last_used_at_us <= ?4)",
        )
        .bind(self.tenant.as_str())
        .bind(id.as_str())
        .bind(micros(now))
        .bind(micros(now - TimeDelta::minutes(1)))
        .execute(self.file.write())
        .await?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl ApiKeys for TenantCatalog {
    async fn api_key(&self, id: &ApiKeyId) -> StoreResult<Option<ApiKeyRow>> {
        call("catalog.api_key", CALL, self.key(id)).await
    }

    async fn api_keys(&self, after: Option<&ApiKeyId>, limit: u32) -> StoreResult<Page<ApiKeyRow>> {
        call("catalog.api_keys", CALL, self.key_page(after, limit)).await
    }

    async fn api_key_ensure(&self, key: &NewApiKey, now: DateTime<Utc>) -> StoreResult<()> {
        call("catalog.api_key_ensure", CALL, self.key_ensure(key, now)).await
    }

    async fn api_key_insert(
        &self,
        key: &NewApiKey,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<ApiKeyMade> {
        call("catalog.api_key_insert", CALL, self.key_insert(key, limits, now)).await
    }

    async fn api_key_change(
        &self,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
        revision: Option<u64>,
    ) -> StoreResult<ApiKeyChange> {
        call("catalog.api_key_change", CALL, self.key_change(id, edit, revision)).await
    }

    async fn api_key_used(&self, id: &ApiKeyId, now: DateTime<Utc>) -> StoreResult<()> {
        call("catalog.api_key_used", CALL, self.key_used(id, now)).await
    }
}
