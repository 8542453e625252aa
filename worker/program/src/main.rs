//! `tenantry`: the whole of Tenantry in one program. `tenantry --help` lists its commands.

use std::process::ExitCode;

use api_thin::program::{parse, run_to};
use tenantry::cli::Cli;
use tenantry::client::ending;

/// The system's allocator took a third of a worker's time on the queue.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    parse().map_or_else(|code| code, |cli: Cli| run_to(cli.run(), ending))
}
