use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{KbId, TenantId, TenantStatus};

use super::WorkspaceId;

/// A customer of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// What it is called in host names: its id, until it chooses another word.
    pub slug: String,
    /// The plan that sets its weight, caps and quotas.
    pub plan: String,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// See [`jobs::tenant::TenantRecord::epoch`].
    pub epoch: u64,
    /// What it may use beyond its plan.
    pub limits: Limits,
    /// What was decided about the flow of its jobs: of a queue, by name, or of all of them under an empty name.
    pub flows: BTreeMap<String, Flow>,
    /// Grows with each change.
    pub revision: u64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
}

/// What may be changed of a tenant: what it is called, and what the queue has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// What people call it.
    pub name: String,
    /// What it is called in host names.
    pub slug: String,
    /// The plan that sets its weight, caps and quotas.
    pub plan: String,
    /// What it may use beyond its plan.
    pub limits: Limits,
    /// Where it is in its life.
    pub status: TenantStatus,
}

/// What became of a change of [`TenantSettings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantChange {
    /// It was written.
    Done,
    /// Somebody else changed the tenant before; nothing was written.
    Stale,
    /// Another tenant is called so, or has the word for an id; nothing was written.
    SlugTaken,
}

/// What decides how much a tenant may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPlan {
    /// The name of its plan.
    pub plan: String,
    /// What it may use beyond the plan.
    pub limits: Limits,
}

/// A tenant to be accepted. Its id is that of the context.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// What people call it.
    pub name: String,
    /// The plan that sets its weight, caps and quotas.
    pub plan: String,
}

/// A knowledge base: a collection of documents with one graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kb {
    /// Its id inside the tenant.
    pub id: KbId,
    /// What people call it.
    pub name: String,
    /// Its name in the index.
    pub workspace: WorkspaceId,
    /// Grows with each change.
    pub revision: u64,
    /// Whether it is being deleted: then nobody reads it any more.
    pub is_closed: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A knowledge base to be made.
#[derive(Debug, Clone)]
pub struct NewKb {
    /// Its id inside the tenant.
    pub id: KbId,
    /// What people call it.
    pub name: String,
    /// Its name in the index, which is prepared already.
    pub workspace: WorkspaceId,
}

impl NewKb {
    /// What it will be when it is made at `now`.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Kb {
        let Self { id, name, workspace } = self.clone();
        Kb { id, name, workspace, revision: 1, is_closed: false, created_at: now }
    }
}

/// Which tenants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Only those in this state.
    pub status: Option<TenantStatus>,
    /// Only those of this plan.
    pub plan: Option<String>,
}
