//! `make bench`: what the queue can do on this machine, beside what its users could pick instead.
//!
//! Every figure runs several times on a `redis-server` of its own, with everything on: signatures checked,
//! context rehydrated, weights, caps and rates set. Every run is checked for exact delivery; an inexact one
//! fails, and so does the program, after every other figure was taken. A missed figure is no failure: it is printed as
//! missed. Nor is a peer that fails or takes too long: it is a row that says why.

mod child;
mod figures;
mod harness;
mod peers;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use harness::bench::Bench;

/// As in the worker program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Runtime::new().context("cannot start tokio")?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker", spec] => runtime.block_on(child::worker::run(serde_json::from_str(spec)?)),
        ["whole", spec] => runtime.block_on(child::whole::run(serde_json::from_str(spec)?)),
        ["producer", spec] => runtime.block_on(child::producer::run(serde_json::from_str(spec)?)),
        _ => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let mut bench = Bench::from_environment()?;
    let measured = figures::all(&mut bench).await;
    // What was measured before a failure is worth seeing.
    bench.report.print(&bench.conditions)?;
    measured
}
