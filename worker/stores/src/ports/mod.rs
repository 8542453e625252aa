//! The ports: interfaces of a tenant's stores. Every object behind them is bound to its tenant when it is created,
//! so no method takes one.

mod directory;

pub use directory::Directory;

pub use crate::blobs::Blobs;
pub use crate::cache::Cache;
pub use crate::documents::Documents;
pub use crate::index::Index;

/// The result of a store call.
pub type StoreResult<T> = Result<T, crate::StoreError>;
