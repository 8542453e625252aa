//! The tables that hold rows of tenants: asked of the file, so that one that is added later is not forgotten.

use jobs::tenant::TenantId;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::fault::Fault;

/// Deletes the tenant's rows from every table with a `tenant_id` but `tenants` itself.
pub(super) async fn tenant_rows_delete(tx: &mut SqliteConnection, tenant: &TenantId) -> Result<(), Fault> {
    // Rows refer to rows that go in the same transaction.
    sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *tx).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master AS found WHERE type = 'table' AND name <> 'tenants'
             AND EXISTS (SELECT 1 FROM pragma_table_info(found.name) WHERE name = 'tenant_id')",
    )
    .fetch_all(&mut *tx)
    .await?;
    for table in tables {
        let delete = AssertSqlSafe(format!("DELETE FROM \"{table}\" WHERE tenant_id = ?"));
        sqlx::query(delete).bind(tenant.as_str()).execute(&mut *tx).await?;
    }
    Ok(())
}
