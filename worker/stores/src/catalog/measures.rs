//! What the catalog has for metrics: the outbox of all tenants, and sums of one tenant after the other.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::TenantId;

use super::{Catalogs, Reader, Row, sql};
use crate::ports::StoreResult;

/// Rows of the outbox that are counted; more are not told apart.
const COUNTED: u32 = 10_000;
/// Documents of one tenant that are looked at.
const DOCUMENTS: u32 = 100;

/// Accepted jobs that the queue does not have yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxMeasure {
    /// How many there are: 10,000 stands for more.
    pub rows: u64,
    /// When the oldest was accepted.
    pub oldest: Option<DateTime<Utc>>,
}

/// Accepted jobs that the queue should have and does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MissingMeasure {
    /// How many there are: 10,000 stands for more.
    pub rows: u64,
    /// Since when the first of them has been missing.
    pub since: Option<DateTime<Utc>>,
}

/// Sums of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantMeasure {
    /// Bytes of its documents and of what is made of them.
    pub storage_bytes: u64,
    /// Its members.
    pub users: u64,
    /// Documents that have not changed for long and are not ready.
    pub waiting: Vec<WaitingDocument>,
}

/// A document that waits for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingDocument {
    /// The job that reads it. The ids of those that follow are not known.
    pub job: JobId,
    /// Whether that job has not begun with it.
    pub is_pending: bool,
}

/// Counts, and reads nothing of what tenants have.
pub struct Measures {
    catalogs: Catalogs,
}

impl Measures {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    /// The outbox of all tenants, at a cost that does not grow with their number.
    ///
    /// # Errors
    /// When the catalog is not available.
    pub async fn outbox(&self) -> StoreResult<OutboxMeasure> {
        let select = sql("select (select min(created_at) from outbox) as oldest, count(*) as total
             from (select 1 as found from outbox limit $1) as counted");
        let read =
            |row: &Row| Ok(OutboxMeasure { rows: row.number("total")?, oldest: row.time_or_null("oldest")? });
        self.catalogs.db.reader(Reader::Relay).one("measures.outbox", select.bind(COUNTED), read).await
    }

    /// Accepted work of all tenants without a job, as it was found last, at a cost that does not grow with their
    /// number.
    ///
    /// # Errors
    /// When the catalog is not available.
    pub async fn missing(&self) -> StoreResult<MissingMeasure> {
        let select = sql(
            "select (select min(missing_since) from unfinished_jobs where missing_since is not null) as since,
                 count(*) as total
             from (select 1 as found from unfinished_jobs where missing_since is not null limit $1) as counted",
        );
        let read =
            |row: &Row| Ok(MissingMeasure { rows: row.number("total")?, since: row.time_or_null("since")? });
        self.catalogs.db.reader(Reader::Relay).one("measures.missing", select.bind(COUNTED), read).await
    }

    /// The sums of one tenant, and those of its documents that have waited since before `before`. Jobs in the outbox
    /// are on their way: their documents are not among them.
    ///
    /// # Errors
    /// When the catalog is not available.
    pub async fn tenant(&self, tenant: &TenantId, before: DateTime<Utc>) -> StoreResult<TenantMeasure> {
        let mut tx = self.catalogs.db.tenant(tenant).read("measures.tenant").await?;
        let sums = sql("select cast(coalesce(sum(size_bytes + kept_bytes
                     + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint)
                     as storage_bytes,
                 (select count(*) from members where tenant_id = $1 and removed_at is null) as users
             from documents where tenant_id = $1");
        let read = |row: &Row| Ok((row.number("storage_bytes")?, row.number("users")?));
        let (storage_bytes, users) = tx.one(sums.bind(tenant.as_str()), read).await?;
        let documents = sql("select job_id, status from documents
             where tenant_id = $1 and status in ('pending', 'processing') and updated_at < $2
                 and not exists (select 1 from outbox
                     where outbox.tenant_id = documents.tenant_id and outbox.job_id = documents.job_id)
             order by updated_at limit $3");
        let documents = documents.bind(tenant.as_str()).bind(before).bind(DOCUMENTS);
        let waiting = tx.all(documents, read_waiting).await?;
        tx.commit().await?;
        Ok(TenantMeasure { storage_bytes, users, waiting })
    }

    /// The connections to the database of the catalog.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.catalogs.db.connections()
    }
}

fn read_waiting(row: &Row) -> sqlx::Result<WaitingDocument> {
    Ok(WaitingDocument { job: row.parsed("job_id")?, is_pending: row.text("status")? == "pending" })
}

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// `postgres` or `sqlite`.
    pub store: &'static str,
    /// Connections in use.
    pub used: u32,
    /// Open connections that wait for use.
    pub idle: u32,
    /// The most there may be.
    pub most: u32,
}
