//! What the tenant is called in host names.

use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::fault::Fault;

/// Gives a new tenant the word that is its id. Returns whether it was free.
pub(super) async fn insert(tx: &mut SqliteConnection, catalog: &TenantCatalog) -> Result<bool, Fault> {
    word_insert(tx, catalog, catalog.tenant.as_str()).await
}

/// What the tenant is called.
pub(super) async fn slug(tx: &mut SqliteConnection, catalog: &TenantCatalog) -> Result<String, Fault> {
    Ok(sqlx::query_scalar("SELECT slug FROM slugs WHERE tenant_id = ? AND is_current")
        .bind(catalog.tenant.as_str())
        .fetch_one(tx)
        .await?)
}

/// Calls the tenant by another word. Returns whether it was free. The word that is its id stays its own.
pub(super) async fn put(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    slug: &str,
) -> Result<bool, Fault> {
    let tenant = catalog.tenant.as_str();
    sqlx::query("DELETE FROM slugs WHERE tenant_id = ?1 AND slug <> ?1")
        .bind(tenant)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE slugs SET is_current = (slug = ?2) WHERE tenant_id = ?1")
        .bind(tenant)
        .bind(slug)
        .execute(&mut *tx)
        .await?;
    if slug == tenant { Ok(true) } else { word_insert(tx, catalog, slug).await }
}

async fn word_insert(tx: &mut SqliteConnection, catalog: &TenantCatalog, slug: &str) -> Result<bool, Fault> {
    let sql = "INSERT INTO slugs (tenant_id, slug, is_current) VALUES (?, ?, TRUE) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(catalog.tenant.as_str()).bind(slug).execute(tx).await?;
    Ok(done.rows_affected() == 1)
}
