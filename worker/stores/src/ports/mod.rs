//! The ports: what a store of one tenant can do. Every object behind them is bound to its tenant when it is
//! made, so no method takes one.

mod directory;

pub use directory::Directory;

pub use crate::blobs::Blobs;
pub use crate::cache::Cache;
pub use crate::documents::Documents;
pub use crate::index::Index;

/// The result of a store call.
pub type StoreResult<T> = Result<T, crate::StoreError>;
