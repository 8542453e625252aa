//! The tenant's API keys.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::{ApiKeyId, KbId, Role};

use super::{Catalog, Row, Sql, Tx};
use crate::model::{
    ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, KeyEnd, KeyPlaced, NewApiKey, Page, allowed, scope_text,
};
use crate::page;
use crate::ports::StoreResult;

/// How many API keys that were revoked a tenant keeps; they show who did something long ago.
const REVOKED_KEPT_MAX: i64 = 1_000;
/// How many of the older ones go when a key is made: more than it adds.
const REVOKED_PRUNED: i64 = 20;

const SELECT: &str = "select * from api_keys where tenant_id = $1 and key_id = $2 and revoked_at is null";
/// As [`SELECT`], with the row locked until the end of the transaction.
const SELECT_LOCKED: &str =
    "select * from api_keys where tenant_id = $1 and key_id = $2 and revoked_at is null {for update}";

fn read_key(row: &Row) -> sqlx::Result<ApiKeyRow> {
    let role: Role = row.parsed("role")?;
    Ok(ApiKeyRow {
        id: row.parsed("key_id")?,
        name: row.text("name")?,
        role,
        kb_id: row.parsed_or_null("kb_id")?,
        permissions: allowed(role, row.text_or_null("permissions")?.as_deref())
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        created_by: row.text_or_null("created_by")?,
        revision: row.number("revision")?,
        created_at: row.time("created_at")?,
        expires_at: row.time_or_null("expires_at")?,
        last_used_at: row.time_or_null("last_used_at")?,
        previous_until: row.time_or_null("previous_until")?,
    })
}

impl Catalog {
    /// One key that was not revoked.
    pub async fn api_key(&self, id: &ApiKeyId) -> StoreResult<Option<ApiKeyRow>> {
        self.rows.optional("catalog.api_key", self.sql(SELECT).bind(id.as_str()), read_key).await
    }

    /// Keys by id, beginning after `after`. At most `limit` (1 to 1,000).
    pub async fn api_keys(&self, after: Option<&ApiKeyId>, limit: u32) -> StoreResult<Page<ApiKeyRow>> {
        let select = self.sql(
            "select * from api_keys where tenant_id = $1 and key_id > $2 and revoked_at is null
             order by key_id limit $3",
        );
        let select = select.bind(after.map_or("", ApiKeyId::as_str)).bind(page::rows_for(limit));
        let found = self.rows.all("catalog.api_keys", select, read_key).await?;
        Ok(page::cut(found, limit, |key| key.id.to_string()))
    }

    /// Inserts a key unless its id is known.
    fn key_insert<'q>(&'q self, key: &'q NewApiKey, now: DateTime<Utc>) -> Sql<'q> {
        let insert = self.sql(
            "insert into api_keys (tenant_id, key_id, name, secret_sha256, role, kb_id, permissions,
                 created_by, expires_at, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (tenant_id, key_id) do nothing",
        );
        let insert = insert.bind(key.id.as_str()).bind(&key.name).bind(&key.secret_sha256);
        let insert = insert.bind(key.role.as_str()).bind(key.kb_id.as_ref().map(KbId::as_str));
        let insert = insert.bind(key.permissions.map(scope_text)).bind(key.created_by.as_deref());
        insert.bind(key.expires_at).bind(now)
    }

    /// Stores an API key unless its id is known. The name is not checked.
    pub async fn api_key_ensure(&self, key: &NewApiKey, now: DateTime<Utc>) -> StoreResult<()> {
        let stored = self.rows.execute("catalog.api_key_ensure", self.key_insert(key, now)).await;
        // Invalidate also after an error: the statement may have been committed.
        self.announced(stored.map(drop)).await
    }

    /// Whether another key has the name. The caller holds the tenant's lock, so no other transaction can take the
    /// name before this one ends.
    async fn key_name_taken(&self, tx: &mut Tx, name: &str, but: &ApiKeyId) -> StoreResult<bool> {
        let taken = self.sql(
            "select exists (select 1 from api_keys
                            where tenant_id = $1 and name = $2 and key_id <> $3 and revoked_at is null) as found",
        );
        tx.one(taken.bind(name).bind(but.as_str()), |row| row.flag("found")).await
    }

    /// Stores an API key, unless another has its name or id, or `limits` allow no more.
    pub async fn api_key_insert(
        &self,
        key: &NewApiKey,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<ApiKeyMade> {
        let mut tx = self.rows.write("catalog.api_key_insert").await?;
        self.lock(&mut tx).await?;
        if self.key_name_taken(&mut tx, &key.name, &key.id).await?
            || tx.execute(self.key_insert(key, now)).await? == 0
        {
            return Ok(ApiKeyMade::NameTaken);
        }
        if let Some(over) = self.last_refused(&mut tx, limits, Quota::MaxApiKeys).await? {
            return Ok(ApiKeyMade::OverQuota(over));
        }
        let stored = tx.one(self.sql(SELECT).bind(key.id.as_str()), read_key).await?;
        // Removes more of the oldest revoked keys than one insertion adds.
        let prune = self.sql(
            "delete from api_keys where tenant_id = $1 and key_id in (
                 select key_id from api_keys where tenant_id = $1 and revoked_at is not null
                 order by revoked_at desc, key_id limit $3 offset $2 {for update skip locked})",
        );
        tx.execute(prune.bind(REVOKED_KEPT_MAX).bind(REVOKED_PRUNED)).await?;
        tx.commit().await?;
        Ok(self.announced(ApiKeyMade::Done(stored)).await)
    }

    /// Changes a key, if `revision` (when given) is still its revision. Tells every process to forget its cached
    /// answers.
    pub async fn api_key_change(
        &self,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
        revision: Option<u64>,
    ) -> StoreResult<ApiKeyChange> {
        let mut tx = self.rows.write("catalog.api_key_change").await?;
        if matches!(edit, ApiKeyEdit::Details { name: Some(_), .. }) {
            self.lock(&mut tx).await?;
        }
        let locked = self.sql(SELECT_LOCKED).bind(id.as_str());
        let Some(before) = tx.optional(locked, read_key).await? else { return Ok(ApiKeyChange::Unknown) };
        if revision.is_some_and(|revision| revision != before.revision) {
            return Ok(ApiKeyChange::Stale);
        }
        if let ApiKeyEdit::Details { name: Some(name), .. } = edit
            && self.key_name_taken(&mut tx, name, id).await?
        {
            return Ok(ApiKeyChange::NameTaken);
        }
        tx.execute(self.key_update(id, edit)).await?;
        let after = tx.optional(self.sql(SELECT).bind(id.as_str()), read_key).await?;
        tx.commit().await?;
        Ok(self.announced(ApiKeyChange::Done(after.unwrap_or(before))).await)
    }

    fn key_update<'q>(&'q self, id: &'q ApiKeyId, edit: &'q ApiKeyEdit) -> Sql<'q> {
        match edit {
            ApiKeyEdit::Details { name, end } => self
                .sql(
                    "update api_keys set name = coalesce($3, name), revision = revision + 1,
                         expires_at = case when $4 then $5 else expires_at end
                     where tenant_id = $1 and key_id = $2",
                )
                .bind(id.as_str())
                .bind(name.as_deref())
                .bind(end.is_some())
                .bind(end.and_then(KeyEnd::at)),
            ApiKeyEdit::Secret { sha256, previous_until } => self
                .sql(
                    "update api_keys set previous_until = $4, secret_sha256 = $3, revision = revision + 1,
                         previous_sha256 = case when $4 is null then null else secret_sha256 end
                     where tenant_id = $1 and key_id = $2",
                )
                .bind(id.as_str())
                .bind(sha256)
                .bind(*previous_until),
            ApiKeyEdit::Revoked(at) => self
                .sql(
                    "update api_keys set revoked_at = $3, revision = revision + 1
                     where tenant_id = $1 and key_id = $2",
                )
                .bind(id.as_str())
                .bind(*at),
        }
    }

    /// Records when keys were used, each at most once a minute.
    pub(super) fn keys_used(&self, used: &[(ApiKeyId, DateTime<Utc>)]) -> Sql<'_> {
        let update = self.sql(
            "update api_keys set last_used_at = used.at
             from {rows $2 as used (key text, at timestamptz, before timestamptz)}
             where tenant_id = $1 and key_id = used.key and (last_used_at is null or last_used_at <= used.before)",
        );
        let rows = used.iter().map(|(key, at)| {
            let before = *at - TimeDelta::minutes(1);
            [("key", key.to_string().into()), ("at", (*at).into()), ("before", before.into())]
        });
        update.bind_rows(rows)
    }

    /// Stores the key of an imported account, named after it, unless its id or that name is known. The transaction
    /// holds the tenant's lock.
    pub(super) async fn key_place(
        &self,
        tx: &mut Tx,
        key: &NewApiKey,
        now: DateTime<Utc>,
    ) -> StoreResult<KeyPlaced> {
        let known =
            self.sql("select exists (select 1 from api_keys where tenant_id = $1 and key_id = $2) as known");
        if tx.one(known.bind(key.id.as_str()), |row| row.flag("known")).await? {
            return Ok(KeyPlaced::Known);
        }
        if self.key_name_taken(tx, &key.name, &key.id).await? {
            return Ok(KeyPlaced::NameTaken);
        }
        tx.execute(self.key_insert(key, now)).await?;
        Ok(KeyPlaced::New)
    }
}
