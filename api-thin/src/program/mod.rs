//! What the programs `api-thin` and `tenantry` have in common: the settings of both, how they are read, where lines go,
//! and how a program ends.

mod api_command;
mod arguments;
mod console;
mod listen;
mod log;
mod plans;
mod queue;
mod run;
mod storage;
mod variables;

pub use api_command::ApiCommand;
pub use arguments::parse;
pub use console::{print, say};
pub use listen::{ListenSettings, bind, listen_address};
pub use log::start as start_log;
pub use plans::PlanSettings;
pub use queue::{QueueSettings, RedisSettings, connect, shard_count};
pub use run::run;
pub use storage::{FileSettings, PostgresSettings, StorageSettings};
pub use variables::WORKER_VARIABLES;
