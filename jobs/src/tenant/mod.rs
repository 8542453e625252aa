//! The authenticated actor, its tenant, and its permissions.

mod actor;
mod context;
mod directory;
mod role;
mod tenant_id;

pub use actor::{Actor, ApiKeyId, Identity, Provider, Subject};
pub use context::{Authenticated, TenantContext};
pub use directory::{DirectoryError, TenantDirectory, TenantRecord, TenantStatus};
pub use role::{Permission, Permissions, Role};
pub use tenant_id::{InvalidId, KbId, TenantId};
