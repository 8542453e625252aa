//! The ports: what a store of one tenant can do. Every object behind them is bound to its tenant when it is
//! made, so no method takes one.

mod blobs;
mod cache;
mod directory;
mod documents;
mod index;

pub use blobs::Blobs;
pub use cache::Cache;
pub use directory::Directory;
pub use documents::Documents;
pub use index::Index;

/// The result of a store call.
pub type StoreResult<T> = Result<T, crate::StoreError>;
