//! The API in the test's own process, on embedded stores and a real Redis, without a worker: what was
//! enqueued stays where a test can count it.

mod bed;
mod credentials;
mod issuer;
mod person;
mod raw;
mod reply;
mod tenant;
mod written;

pub use bed::{Api, ApiOptions};
pub use credentials::{Claims, OPERATOR_KEY};
pub use issuer::Issuer;
pub use person::PASSWORD;
pub(crate) use person::found;
pub use raw::{RawClient, RawReply};
pub use reply::{Reply, problem, send};
pub use tenant::ApiTenant;
pub use written::Written;
