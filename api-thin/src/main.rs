//! `api-thin`: the HTTP API as a program of its own. `api-thin --help` lists its settings.

use std::process::ExitCode;

use api_thin::program::{ApiCommand, parse, run};
use clap::Parser;

/// The HTTP API of Tenantry.
#[derive(Debug, Parser)]
#[command(name = "api-thin", version, about)]
struct Program {
    #[command(flatten)]
    api: ApiCommand,
}

fn main() -> ExitCode {
    parse().map_or_else(|code| code, |program: Program| run(program.api.run("api-thin")))
}
