//! Which tenant a request is about: what host name, header and path say, and whether they may.

mod host;
mod resolution;
mod settings;
mod tenant_source;

pub(crate) use host::{Host, HostFault, is_trusted};
pub use resolution::Resolution;
pub use settings::ResolutionSettings;
pub use tenant_source::TenantSource;
