//! The ports: what a store of one tenant can do. Every object behind them is bound to its tenant when it is
//! made, so no method takes one.

mod api_keys;
mod catalog;
mod directory;
mod identities;
mod lifecycle;
mod members;
mod outbox;
mod schedules;
mod settings;

pub use api_keys::ApiKeys;
pub use catalog::Catalog;
pub use directory::Directory;
pub use identities::Identities;
pub use lifecycle::Lifecycle;
pub use members::Members;
pub use outbox::{OutboxRelay, OutboxRow};
pub use schedules::DueSchedules;
pub use settings::SettingsRelay;

pub use crate::blobs::Blobs;
pub use crate::cache::Cache;
pub use crate::documents::Documents;
pub use crate::index::Index;

/// The result of a store call.
pub type StoreResult<T> = Result<T, crate::StoreError>;
