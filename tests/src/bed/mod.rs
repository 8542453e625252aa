//! A whole system for one test, or one on the real servers for all of them.

mod http;
mod person;
mod servers;
mod snapshot;
mod system;
mod tenant;

pub use http::{Answer, Http, send};
pub use servers::{on_servers, postgres_alone, postgres_alone_on, servers};
pub use snapshot::Snapshot;
pub use system::Bed;
pub use tenant::TestTenant;
