//! Who asks, for which tenant, and what they may do.

mod actor;
mod context;
mod directory;
mod id;
mod identity;
mod role;
mod subject;

pub use actor::{Actor, ApiKeyId};
pub use context::{Authenticated, TenantContext};
pub use directory::{DirectoryError, TenantDirectory, TenantRecord, TenantStatus};
pub use id::{InvalidId, KbId, TenantId};
pub use identity::{Identity, Provider};
pub use role::{Permission, Permissions, Role};
pub use subject::Subject;
