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

use anyhow::{Result, bail, ensure};

use crate::harness::bench::{Bench, FIGURES};

/// Takes every requested figure. A failed figure is a row with the reason; the others are taken all the same.
///
/// # Errors
/// When a figure failed, after all were tried.
pub(crate) async fn all(bench: &mut Bench) -> Result<()> {
    let mut failed = Vec::new();
    for figure in FIGURES {
        if !bench.wants(figure) {
            continue;
        }
        if let Err(why) = one(bench, figure).await {
            bench.report.failed((figure, ""), "this figure", &why);
            failed.push(figure);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

async fn one(bench: &mut Bench, figure: &str) -> Result<()> {
    match figure {
        "drain" => drain::measure(bench).await,
        "enqueue" => enqueue::measure(bench).await,
        "latency" => latency::measure(bench).await,
        "flatness" => flatness::measure(bench).await,
        "neighbour" => neighbour::measure(bench).await,
        "shares" => shares::measure(bench).await,
        "memory" => memory::measure(bench).await,
        "scale_out" => scale_out::measure(bench).await,
        unknown => bail!("there is no figure {unknown}"),
    }
}
