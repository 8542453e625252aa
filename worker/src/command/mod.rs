//! The commands of the `worker` program.

mod cli;
mod demo;
mod dev;
mod keygen;
mod migrate;
mod run;
mod shards;
mod signal;
mod users;

pub use cli::Cli;
