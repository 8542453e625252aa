//! Real servers for tests.

mod scratch;
mod urls;

pub use scratch::Scratch;
pub use urls::{ServerUrls, migrated};
