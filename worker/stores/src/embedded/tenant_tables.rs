//! Which tables hold rows of tenants: asked of the file, so that a table that is added later is not forgotten.

use sqlx::SqliteConnection;

use super::fault::Fault;

/// The names of all tables with a `tenant_id`, but for `tenants` itself. Rows of one may refer to rows of another: what
/// deletes from them in a transaction lets references be checked at its end.
pub(super) async fn tenant_tables(tx: &mut SqliteConnection) -> Result<Vec<String>, Fault> {
    sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *tx).await?;
    Ok(sqlx::query_scalar(
        "SELECT name FROM sqlite_master AS found WHERE type = 'table' AND name <> 'tenants'
             AND EXISTS (SELECT 1 FROM pragma_table_info(found.name) WHERE name = 'tenant_id')",
    )
    .fetch_all(tx)
    .await?)
}
