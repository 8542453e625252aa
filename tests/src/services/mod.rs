//! Real servers for tests.

mod urls;

pub use urls::{ServerUrls, migrated};
