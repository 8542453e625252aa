mod http;
mod snapshot;
mod system;
mod tenant;

pub use http::{Answer, Http, send};
pub use snapshot::Snapshot;
pub use system::Bed;
pub use tenant::TestTenant;
