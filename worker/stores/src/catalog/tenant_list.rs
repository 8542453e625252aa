//! Lists of tenants for the operator: sorted, searched, and of those that are held back.

use std::collections::HashMap;

use jobs::tenant::{TenantId, TenantStatus};

use super::directory::DirectoryRows;
use super::tenants::read_tenant;
use super::{Reader, Row, Sql, sql};
use crate::model::{
    Tenant, TenantCursor, TenantFilter, TenantKey, TenantOrder, TenantSort, TenantStatistics,
};
use crate::ports::StoreResult;

/// What a filter leaves, `$1` to `$3`.
macro_rules! filtered {
    ($rest:expr) => {
        filtered!("tenants.*, slug", $rest)
    };
    ($columns:literal, $rest:expr) => {
        concat!(
            "select ",
            $columns,
            " from tenants join slugs using (tenant_id)
             where is_current and deleted_at is null and ($1 is null or status = $1) and ($2 is null or plan = $2)
             and ($3 is null or tenant_id like $3 escape '\\' or lower(name) like $3 escape '\\')",
            $rest
        )
    };
}

/// The page by a column: `$4` the key of the tenant before, `$5` its id, `$6` how many, `$7` how many are left out.
macro_rules! sorted {
    ($column:literal, $beyond:literal, $direction:literal) => {
        filtered!(concat!(
            " and ($4 is null or (",
            $column,
            ", tenant_id) ",
            $beyond,
            " ($4, $5)) order by ",
            $column,
            $direction,
            ", tenant_id",
            $direction,
            " limit $6 offset $7"
        ))
    };
}

fn statement(order: TenantOrder) -> &'static str {
    match (order.by, order.descending) {
        (TenantSort::Id, false) => sorted!("tenant_id", ">", ""),
        (TenantSort::Id, true) => sorted!("tenant_id", "<", " desc"),
        (TenantSort::Name, false) => sorted!("lower(name)", ">", ""),
        (TenantSort::Name, true) => sorted!("lower(name)", "<", " desc"),
        (TenantSort::Plan, false) => sorted!("plan", ">", ""),
        (TenantSort::Plan, true) => sorted!("plan", "<", " desc"),
        (TenantSort::CreatedAt, false) => sorted!("created_at", ">", ""),
        (TenantSort::CreatedAt, true) => sorted!("created_at", "<", " desc"),
    }
}

fn select<'q>(text: &'static str, filter: &'q TenantFilter) -> Sql<'q> {
    let select = sql(text).bind(filter.status.map(TenantStatus::as_str)).bind(filter.plan.as_deref());
    select.bind(filter.search.as_deref().map(pattern))
}

/// Matches texts that contain `search`, whatever it contains itself.
fn pattern(search: &str) -> String {
    let mut pattern = "%".to_owned();
    for letter in search.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl DirectoryRows {
    /// Tenants in an order, `limit` beginning `offset` after `after`.
    pub(crate) async fn tenants_sorted(
        &self,
        filter: &TenantFilter,
        order: TenantOrder,
        after: Option<&TenantCursor>,
        (offset, limit): (u64, u32),
    ) -> StoreResult<Vec<Tenant>> {
        let select = select(statement(order), filter);
        let select = match after.map(|after| &after.key) {
            None if order.by == TenantSort::CreatedAt => select.bind(None::<chrono::DateTime<chrono::Utc>>),
            None => select.bind(None::<&str>),
            Some(TenantKey::Text(text)) => select.bind(text.as_str()),
            Some(TenantKey::Time(at)) => select.bind(*at),
        };
        let select = select.bind(after.map(|after| after.id.as_str())).bind(limit).bind(offset);
        self.db.reader(Reader::Directory).all("directory.tenants_sorted", select, read_tenant).await
    }

    /// The number of tenants that a filter leaves.
    pub(crate) async fn tenants_counted(&self, filter: &TenantFilter) -> StoreResult<u64> {
        let count = select(filtered!("count(*) as total", ""), filter);
        let rows = self.db.reader(Reader::Directory);
        rows.one("directory.tenants_counted", count, |row| row.number("total")).await
    }

    /// How much each of `tenants` has, by one statement.
    pub(crate) async fn tenant_statistics(
        &self,
        tenants: &[TenantId],
    ) -> StoreResult<HashMap<TenantId, TenantStatistics>> {
        let select = sql("select tenant_id, coalesce(documents, 0) as documents, coalesce(bytes, 0) as bytes,
                 (select count(*) from kbs
                  where kbs.tenant_id = tenants.tenant_id and kbs.deleting_at is null) as kbs
             from tenants left join (
                 select tenant_id as owner, count(*) as documents,
                     cast(sum(size_bytes + kept_bytes
                         + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes) as bigint) as bytes
                 from documents where tenant_id {in $1} and deleting_at is null group by tenant_id
             ) as counted on owner = tenant_id
             where tenant_id {in $1}");
        let read = |row: &Row| {
            let (kbs, documents) = (row.number("kbs")?, row.number("documents")?);
            let statistics = TenantStatistics { kbs, documents, storage_bytes: row.number("bytes")? };
            Ok((row.parsed::<TenantId>("tenant_id")?, statistics))
        };
        let rows = self.db.reader(Reader::Directory);
        let found = rows.all("directory.tenant_statistics", select.bind_list(tenants), read).await?;
        Ok(found.into_iter().collect())
    }

    /// Those of `tenants` that a filter leaves, by id.
    pub(crate) async fn tenants_among(
        &self,
        tenants: &[TenantId],
        filter: &TenantFilter,
    ) -> StoreResult<Vec<Tenant>> {
        let select =
            select(filtered!(" and tenant_id {in $4} order by tenant_id"), filter).bind_list(tenants);
        self.db.reader(Reader::Directory).all("directory.tenants_among", select, read_tenant).await
    }

    /// Tenants that are suspended, or about whose flow something was decided, by id. At most `limit`.
    pub(crate) async fn tenants_held(&self, limit: u32) -> StoreResult<Vec<TenantId>> {
        let select = sql("select tenant_id from tenants where (status <> 'active' or flows <> '{}')
             and deleted_at is null order by tenant_id limit $1");
        let rows = self.db.reader(Reader::Directory);
        rows.all("directory.tenants_held", select.bind(limit), |row| row.parsed("tenant_id")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_no_pattern() {
        assert_eq!(pattern("Ac_me 50% \\"), "%ac\\_me 50\\% \\\\%");
    }
}
