//! What the programs `api-thin` and `tenantry` have in common: the settings of both, how they are read, where lines go,
//! and how a program ends.

mod aliases;
mod api_command;
mod arguments;
mod backend_settings;
mod console;
mod run;
#[cfg(feature = "otlp")]
mod traces;

pub use aliases::{ALIASES, Alias};
pub use api_command::ApiCommand;
pub use arguments::{CLIENT_VARIABLES, WORKER_VARIABLES, from_environment, parse, unknown_variables};
pub use backend_settings::{
    FileSettings, PlanSettings, PostgresSettings, QueueSettings, RedisSettings, StorageSettings, connect,
    shard_count,
};
pub use console::{print, say, start_log};
pub use run::{Ending, ListenSettings, StopSignals, bind, listen_address, run, run_to};
