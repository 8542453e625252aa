//! Settings: environment variables and flags of the same meaning. `worker run --help` lists them.

mod extraction;
mod pool;
mod queue;
mod storage;

pub use extraction::ExtractionSettings;
pub use pool::PoolSettings;
pub use queue::QueueSettings;
pub use storage::StorageSettings;
