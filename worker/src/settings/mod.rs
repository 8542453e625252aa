//! Settings: environment variables and flags of the same meaning. `worker run --help` lists them.

mod extraction;
mod health;
mod plans;
mod pool;
mod queue;
mod storage;

pub use extraction::ExtractionSettings;
pub use health::HealthSettings;
pub use plans::PlanSettings;
pub use pool::PoolSettings;
pub use queue::QueueSettings;
pub(crate) use queue::shard_count;
pub use storage::StorageSettings;
