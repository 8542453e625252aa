//! What the programs `api-thin` and `worker` have in common: the settings of both, how they are read, where lines go,
//! and how a program ends.

mod arguments;
mod backend_settings;
mod console;
mod run;

pub use arguments::{WORKER_VARIABLES, parse};
pub use backend_settings::{PlanSettings, QueueSettings, StorageSettings, connect, shard_count};
pub use console::{print, say, start_log};
pub use run::{bind, listen_address, run};
