//! Reading columns.

use std::str::FromStr;

use jobs::tenant::TenantId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::Kb;

/// A text column that has to be parsed.
pub(super) fn parsed<T>(row: &PgRow, column: &'static str) -> sqlx::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(Box::new(error)))
}

/// A text column that may be null and else has to be parsed.
pub(super) fn parsed_optional<T>(row: &PgRow, column: &'static str) -> sqlx::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error: T::Err| sqlx::Error::Decode(Box::new(error)))).transpose()
}

/// A text column that holds JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &PgRow, column: &'static str) -> sqlx::Result<T> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A `bigint` column that holds a number of the given kind.
pub(super) fn number<T: TryFrom<i64>>(row: &PgRow, column: &'static str) -> sqlx::Result<T> {
    let wide: i64 = row.try_get(column)?;
    T::try_from(wide).map_err(|_| sqlx::Error::Decode(format!("{column} is out of range").into()))
}

/// A count as the `bigint` that a column holds.
pub(super) fn wide(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A knowledge base of a tenant, closed or not.
pub(super) const KB: &str =
    "select *, deleting_at is not null as is_closed from kbs where tenant_id = $1 and kb_id = $2";

/// A row of [`KB`], or of a query that selects the same columns.
pub(super) fn kb(row: &PgRow) -> sqlx::Result<Kb> {
    Ok(Kb {
        id: parsed(row, "kb_id")?,
        name: row.try_get("name")?,
        workspace: parsed(row, "workspace")?,
        revision: number(row, "revision")?,
        is_closed: row.try_get("is_closed")?,
        created_at: row.try_get("created_at")?,
    })
}

/// The column `tenant_id`.
pub(super) fn tenant_id(row: &PgRow) -> sqlx::Result<TenantId> {
    parsed(row, "tenant_id")
}
