//! The authenticated actor, its tenant, and its permissions.

mod actor;
mod context;
mod directory;
mod id;
mod role;

pub use actor::{Actor, ApiKeyId, Identity, Provider, Subject};
pub use context::{Authenticated, TenantContext};
pub use directory::{DirectoryError, TenantDirectory, TenantRecord, TenantStatus};
pub use id::{InvalidId, KbId, TenantId};
pub use role::{Permission, Permissions, Role};
