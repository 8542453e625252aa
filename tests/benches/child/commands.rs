//! Lines from and to the parent.

use std::io::{BufRead as _, Write as _};

use anyhow::Result;
use serde::Serialize;
use tokio::sync::mpsc;

/// The parent's lines; the channel ends with the parent.
pub(super) fn listen() -> mpsc::UnboundedReceiver<String> {
    let (line, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for text in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

pub(super) fn answer(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Processor seconds that this process has used, to a hundredth.
pub(super) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}
