//! What the tenant is called in host names.

use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::fault::Fault;
use crate::model::SlugChange;

/// Gives a new tenant the word that is its id. Returns whether it was free.
pub(super) async fn insert(tx: &mut SqliteConnection, catalog: &TenantCatalog) -> Result<bool, Fault> {
    let done = sqlx::query("INSERT INTO slugs (tenant_id, slug) VALUES (?1, ?1) ON CONFLICT DO NOTHING")
        .bind(catalog.tenant.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn slug(catalog: &TenantCatalog) -> Result<Option<String>, Fault> {
    Ok(sqlx::query_scalar("SELECT slug FROM slugs WHERE tenant_id = ?")
        .bind(catalog.tenant.as_str())
        .fetch_optional(catalog.file.read())
        .await?)
}

pub(super) async fn put(catalog: &TenantCatalog, slug: &str) -> Result<SlugChange, Fault> {
    let mut tx = catalog.file.begin().await?;
    let before: Option<String> = sqlx::query_scalar("DELETE FROM slugs WHERE tenant_id = ? RETURNING slug")
        .bind(catalog.tenant.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(before) = before else { return Ok(SlugChange::Gone) };
    let done = sqlx::query("INSERT INTO slugs (tenant_id, slug) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(catalog.tenant.as_str())
        .bind(slug)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(SlugChange::Taken);
    }
    tx.commit().await?;
    Ok(SlugChange::Changed { before })
}
