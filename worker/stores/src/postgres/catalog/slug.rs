//! What the tenant is called in host names.

use sqlx::Row as _;

use crate::model::SlugChange;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::tx::Tx;

/// Gives a new tenant the word that is its id. Returns whether it was free.
pub(super) async fn insert(tx: &mut Tx, db: &TenantDb) -> StoreResult<bool> {
    let sql = sqlx::query("insert into slugs (tenant_id, slug) values ($1, $1) on conflict do nothing");
    Ok(tx.execute(sql.bind(db.tenant().as_str())).await? == 1)
}

pub(super) async fn slug(db: &TenantDb) -> StoreResult<Option<String>> {
    let sql = sqlx::query("select slug from slugs where tenant_id = $1");
    let mut tx = db.tx("catalog.slug").await?;
    let slug = tx.optional(sql.bind(db.tenant().as_str()), |row| row.try_get("slug")).await?;
    tx.commit().await?;
    Ok(slug)
}

/// Whoever has the word is not visible here, so it is tried rather than looked up.
pub(super) async fn put(db: &TenantDb, slug: &str) -> StoreResult<SlugChange> {
    let tenant = db.tenant().as_str();
    let mut tx = db.tx("catalog.slug_put").await?;
    let delete = sqlx::query("delete from slugs where tenant_id = $1 returning slug");
    let before = tx.optional(delete.bind(tenant), |row| row.try_get("slug")).await?;
    let Some(before) = before else { return Ok(SlugChange::Gone) };
    let insert = sqlx::query("insert into slugs (tenant_id, slug) values ($1, $2) on conflict do nothing");
    if tx.execute(insert.bind(tenant).bind(slug)).await? == 0 {
        return Ok(SlugChange::Taken);
    }
    tx.commit().await?;
    Ok(SlugChange::Changed { before })
}
