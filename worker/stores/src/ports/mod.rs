//! The ports: what a store of one tenant can do. Every object behind them is bound to its tenant when it is
//! made, so no method takes one.

mod api_keys;
mod blobs;
mod cache;
mod catalog;
mod directory;
mod documents;
mod identities;
mod index;
mod lifecycle;
mod members;
mod outbox;
mod schedules;
mod settings;

pub use api_keys::ApiKeys;
pub use blobs::Blobs;
pub use cache::Cache;
pub use catalog::Catalog;
pub use directory::Directory;
pub use documents::Documents;
pub use identities::Identities;
pub use index::Index;
pub use lifecycle::Lifecycle;
pub use members::Members;
pub use outbox::{OutboxRelay, OutboxRow};
pub use schedules::DueSchedules;
pub use settings::SettingsRelay;

/// The result of a store call.
pub type StoreResult<T> = Result<T, crate::StoreError>;
