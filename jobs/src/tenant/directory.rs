//! The facts about a tenant that are checked before a job runs.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::JobId;

use super::{Actor, InvalidId, KbId, Permissions, Role, TenantId};

/// The lifecycle state of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Accepted; its stores are being prepared. Only `tenant.provision` runs.
    Provisioning,
    /// In use.
    Active,
    /// Closed for now: its jobs are parked and come back when it is active again.
    Suspended,
    /// Being removed. Only `tenant.deprovision` runs.
    Deprovisioning,
}

impl TenantStatus {
    /// The name used in tables and HTTP answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deprovisioning => "deprovisioning",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantStatus {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let all = [Self::Provisioning, Self::Active, Self::Suspended, Self::Deprovisioning];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or(InvalidId::new("tenant status", "provisioning, active, suspended or deprovisioning"))
    }
}

/// The directory's record of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantRecord {
    /// The lifecycle state of the tenant.
    pub status: TenantStatus,
    /// Raised when all of the tenant's queued work is cancelled at once: jobs stamped under an older epoch are
    /// dropped.
    pub epoch: u64,
}

/// The directory could not answer. Always passing: the job is tried again.
#[derive(Debug, thiserror::Error)]
#[error("the tenant directory did not answer")]
pub struct DirectoryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Answers, for one tenant at a time, whether its jobs may run now.
#[async_trait::async_trait]
pub trait TenantDirectory: Send + Sync + 'static {
    /// The tenant's record, or `None` when there is no such tenant.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, DirectoryError>;

    /// Whether the knowledge base belongs to the tenant.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn kb_exists(&self, tenant: &TenantId, kb: &KbId) -> Result<bool, DirectoryError>;

    /// Whether the job `job` of the tenant, made at `created_at`, was cancelled, alone or with all of the tenant's
    /// work.
    /// The queue has forgotten it then; that it is there again means that it was put back.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn is_cancelled(
        &self,
        tenant: &TenantId,
        job: JobId,
        created_at: DateTime<Utc>,
    ) -> Result<bool, DirectoryError> {
        let _ = (tenant, job, created_at);
        Ok(false)
    }

    /// What `actor`, who acted with `role` when the job was stamped, may do now in the tenant's knowledge base
    /// `kb`, or, without one, in what concerns all of the tenant.
    ///
    /// [`Permissions::NONE`] when the key was revoked, has expired or does not reach as far, and when the member
    /// was removed since.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn permissions(
        &self,
        tenant: &TenantId,
        kb: Option<&KbId>,
        actor: &Actor,
        role: Role,
    ) -> Result<Permissions, DirectoryError>;
}
