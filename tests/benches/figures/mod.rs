//! One file for each figure.

mod drain;
mod drained;
mod enqueue;
mod flatness;
mod latency;
mod memory;
mod neighbour;
mod running;
mod scale_out;
mod shares;

use anyhow::{Context as _, Result};

use crate::harness::bench::Bench;

/// Takes every figure that was asked for.
pub(crate) async fn all(bench: &mut Bench) -> Result<()> {
    if bench.wants("drain") {
        drain::measure(bench).await.context("drain")?;
    }
    if bench.wants("enqueue") {
        enqueue::measure(bench).await.context("enqueue")?;
    }
    if bench.wants("latency") {
        latency::measure(bench).await.context("latency")?;
    }
    if bench.wants("flatness") {
        flatness::measure(bench).await.context("flatness")?;
    }
    if bench.wants("neighbour") {
        neighbour::measure(bench).await.context("neighbour")?;
    }
    if bench.wants("shares") {
        shares::measure(bench).await.context("shares")?;
    }
    if bench.wants("memory") {
        memory::measure(bench).await.context("memory")?;
    }
    if bench.wants("scale_out") {
        scale_out::measure(bench).await.context("scale_out")?;
    }
    Ok(())
}
