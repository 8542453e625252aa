//! Settings: environment variables and flags of the same meaning. `worker run --help` lists them.

mod extraction;
mod health;
mod pool;

pub use api_thin::program::{PlanSettings, QueueSettings, StorageSettings};
pub use extraction::ExtractionSettings;
pub use health::HealthSettings;
pub use pool::PoolSettings;
