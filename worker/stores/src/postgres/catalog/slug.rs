//! What the tenant is called in host names.

use sqlx::Row as _;

use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::tx::Tx;

/// Gives a new tenant the word that is its id. Returns whether it was free.
pub(super) async fn insert(tx: &mut Tx, db: &TenantDb) -> StoreResult<bool> {
    word_insert(tx, db, db.tenant().as_str()).await
}

/// What the tenant is called.
pub(super) async fn slug(tx: &mut Tx, db: &TenantDb) -> StoreResult<Option<String>> {
    let sql = sqlx::query("select slug from slugs where tenant_id = $1 and is_current");
    tx.optional(sql.bind(db.tenant().as_str()), |row| row.try_get("slug")).await
}

/// Calls the tenant by another word. Returns whether it was free. The word that is its id stays its own.
pub(super) async fn put(tx: &mut Tx, db: &TenantDb, slug: &str) -> StoreResult<bool> {
    let tenant = db.tenant().as_str();
    let delete = sqlx::query("delete from slugs where tenant_id = $1 and slug <> $1");
    tx.execute(delete.bind(tenant)).await?;
    let choose = sqlx::query("update slugs set is_current = (slug = $2) where tenant_id = $1");
    tx.execute(choose.bind(tenant).bind(slug)).await?;
    if slug == tenant { Ok(true) } else { word_insert(tx, db, slug).await }
}

/// Whoever has the word is not visible here, so it is tried rather than looked up.
async fn word_insert(tx: &mut Tx, db: &TenantDb, slug: &str) -> StoreResult<bool> {
    let sql = sqlx::query("insert into slugs (tenant_id, slug) values ($1, $2) on conflict do nothing");
    Ok(tx.execute(sql.bind(db.tenant().as_str()).bind(slug)).await? == 1)
}
