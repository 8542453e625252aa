use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{KbId, TenantId, TenantStatus};
use serde_json::{Map, Value};

use super::WorkspaceId;

/// A customer of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its display name.
    pub name: String,
    /// Its slug, the name in host names: its id, until it chooses another.
    pub slug: String,
    /// The name of its plan, which sets its weight, caps and quotas.
    pub plan: String,
    /// Its status.
    pub status: TenantStatus,
    /// See [`jobs::tenant::TenantRecord::epoch`].
    pub epoch: u64,
    /// Its own limits, which override the plan's.
    pub limits: Limits,
    /// Whether its jobs are paused: by queue name, or of all queues under an empty name.
    pub flows: BTreeMap<String, Flow>,
    /// What people say of it; may be empty.
    pub description: String,
    /// What the product or its operator keeps with it. `plan`, if there, is the tenant's plan.
    pub metadata: Map<String, Value>,
    /// Incremented with each change.
    pub revision: u64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The actor that created it, if that is known.
    pub created_by: Option<String>,
    /// When it was changed last; when it was created, if never or before that was noted.
    pub updated_at: DateTime<Utc>,
}

impl Tenant {
    /// Whether its members may use it: neither suspended nor being deleted.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.status, TenantStatus::Provisioning | TenantStatus::Active)
    }
}

/// The changeable settings of a tenant: its names, and what the queue needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// Its display name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// The name of its plan, which sets its weight, caps and quotas.
    pub plan: String,
    /// Its own limits, which override the plan's.
    pub limits: Limits,
    /// Its status.
    pub status: TenantStatus,
    /// What people say of it.
    pub description: String,
    /// See [`Tenant::metadata`].
    pub metadata: Map<String, Value>,
}

/// The outcome of changing [`TenantSettings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantChange {
    /// It was written.
    Done,
    /// Conflict: another caller changed the tenant first; nothing was written.
    Stale,
    /// Another tenant has the slug, or has it as its id; nothing was written.
    SlugTaken,
}

/// What a tenant's limits are computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPlan {
    /// The name of its plan.
    pub plan: String,
    /// Its own limits, which override the plan's.
    pub limits: Limits,
}

/// A tenant to create. Its id is that of the context.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its display name.
    pub name: String,
    /// The name of its plan, which sets its weight, caps and quotas.
    pub plan: String,
    /// What people say of it.
    pub description: String,
    /// See [`Tenant::metadata`].
    pub metadata: Map<String, Value>,
    /// The actor that creates it, if that is known.
    pub created_by: Option<String>,
}

impl NewTenant {
    /// A tenant of which no more is known.
    #[must_use]
    pub fn new(name: impl Into<String>, plan: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            plan: plan.into(),
            description: String::new(),
            metadata: Map::new(),
            created_by: None,
        }
    }
}

/// How much a tenant has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantStatistics {
    /// Its knowledge bases, without those that are being deleted.
    pub kbs: u64,
    /// Its documents, without those that are being deleted.
    pub documents: u64,
    /// The bytes of all of them, as the quota counts them.
    pub storage_bytes: u64,
}

/// A knowledge base: a collection of documents with one graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kb {
    /// Its id inside the tenant.
    pub id: KbId,
    /// Its display name.
    pub name: String,
    /// What people say of it; may be empty.
    pub description: String,
    /// Its name in the index.
    pub workspace: WorkspaceId,
    /// Incremented with each change.
    pub revision: u64,
    /// Whether it is being deleted: then readers do not find it any more.
    pub is_closed: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The actor that created it, if that is known.
    pub created_by: Option<String>,
    /// When it was changed last; when it was created, if never or before that was noted.
    pub updated_at: DateTime<Utc>,
}

/// How much a knowledge base holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KbStatistics {
    /// The number of its documents in each status of [`DocumentStatus::ALL`](super::DocumentStatus::ALL).
    pub documents: [u64; 5],
    /// The bytes of all of them, as the quota counts them.
    pub storage_bytes: u64,
}

/// A knowledge base to create.
#[derive(Debug, Clone)]
pub struct NewKb {
    /// Its id inside the tenant.
    pub id: KbId,
    /// What people call it.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// Its name in the index, which is prepared already.
    pub workspace: WorkspaceId,
    /// The actor that creates it, if that is known.
    pub created_by: Option<String>,
}

impl NewKb {
    /// A knowledge base of which no more is known.
    #[must_use]
    pub fn new(id: KbId, name: impl Into<String>, workspace: WorkspaceId) -> Self {
        Self { id, name: name.into(), description: String::new(), workspace, created_by: None }
    }

    /// The knowledge base as created at `now`.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Kb {
        let Self { id, name, description, workspace, created_by } = self.clone();
        Kb {
            id,
            name,
            description,
            workspace,
            revision: 1,
            is_closed: false,
            created_at: now,
            created_by,
            updated_at: now,
        }
    }
}

/// A filter for lists of tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Only tenants with this status.
    pub status: Option<TenantStatus>,
    /// Only tenants with this plan.
    pub plan: Option<String>,
    /// Only tenants whose id or name contains this text, in whatever case.
    pub search: Option<String>,
}

/// What a list of tenants is sorted by; of equal ones, the ids decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantSort {
    /// The id.
    Id,
    /// The display name, whatever its case.
    Name,
    /// The name of the plan.
    Plan,
    /// When it was created.
    CreatedAt,
}

/// The order of a list of tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantOrder {
    /// What it is sorted by.
    pub by: TenantSort,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// What a tenant is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantKey {
    /// An id, a name in lower case, or a plan.
    Text(String),
    /// When it was created.
    Time(DateTime<Utc>),
}

/// Where a page of tenants ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantCursor {
    /// What the last tenant of the page is sorted by.
    pub key: TenantKey,
    /// Its id.
    pub id: TenantId,
}

/// A text that is no cursor of a list of tenants in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTenantCursor;

impl TenantCursor {
    /// Where a page ends that ends with `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant, sort: TenantSort) -> Self {
        let key = match sort {
            TenantSort::Id => TenantKey::Text(tenant.id.to_string()),
            TenantSort::Name => TenantKey::Text(tenant.name.to_lowercase()),
            TenantSort::Plan => TenantKey::Text(tenant.plan.clone()),
            TenantSort::CreatedAt => TenantKey::Time(tenant.created_at),
        };
        Self { key, id: tenant.id.clone() }
    }

    /// Its text: of a list by id just that.
    #[must_use]
    pub fn text(&self, sort: TenantSort) -> String {
        match &self.key {
            _ if sort == TenantSort::Id => self.id.to_string(),
            TenantKey::Text(text) => serde_json::json!([text, self.id]).to_string(),
            TenantKey::Time(at) => serde_json::json!([at.timestamp_micros(), self.id]).to_string(),
        }
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// When it is not that of a list in this order.
    pub fn parse(text: &str, sort: TenantSort) -> Result<Self, InvalidTenantCursor> {
        let wrong = |_| InvalidTenantCursor;
        if sort == TenantSort::Id {
            let id: TenantId = text.parse().map_err(|_| InvalidTenantCursor)?;
            return Ok(Self { key: TenantKey::Text(id.to_string()), id });
        }
        if sort == TenantSort::CreatedAt {
            let (micros, id): (i64, TenantId) = serde_json::from_str(text).map_err(wrong)?;
            let at = DateTime::from_timestamp_micros(micros).ok_or(InvalidTenantCursor)?;
            return Ok(Self { key: TenantKey::Time(at), id });
        }
        let (key, id) = serde_json::from_str(text).map_err(wrong)?;
        Ok(Self { key: TenantKey::Text(key), id })
    }
}
