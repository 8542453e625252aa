//! The table and the JSON.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::conditions::Conditions;
use super::sample::Sample;

/// The target of a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    pub(crate) what: String,
    pub(crate) persistence: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) sample: Sample,
    pub(crate) median: f64,
    pub(crate) target: Option<Target>,
    pub(crate) met: Option<bool>,
    /// Why there is no figure.
    pub(crate) failed: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Json<'a> {
    conditions: &'a Conditions,
    rows: &'a [Row],
}

impl Report {
    pub(crate) fn add(
        &mut self,
        (figure, persistence): (&'static str, &'static str),
        what: impl Into<String>,
        unit: &'static str,
        sample: Sample,
        target: Option<Target>,
    ) {
        let median = sample.median();
        let met = target.map(|target| match target {
            Target::AtLeast(least) => median >= least,
            Target::AtMost(most) => median <= most,
        });
        let what = what.into();
        self.push(Row { figure, what, persistence, unit, sample, median, target, met, failed: None });
    }

    /// A figure that could not be taken, and why: on one line, in the place of the figure.
    pub(crate) fn failed(
        &mut self,
        (figure, persistence): (&'static str, &'static str),
        what: impl Into<String>,
        why: &anyhow::Error,
    ) {
        let why = format!("{why:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        let (what, sample) = (what.into(), Sample::default());
        let (target, met, failed) = (None, None, Some(why));
        self.push(Row { figure, what, persistence, unit: "", sample, median: f64::NAN, target, met, failed });
    }

    fn push(&mut self, row: Row) {
        eprintln!("bench: {}", line(&row));
        self.rows.push(row);
    }

    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.rows.iter().map(line).collect()
    }

    /// The table to standard output, the JSON to `target/bench/results.json` or `BENCH_JSON`.
    pub(crate) fn print(&self, conditions: &Conditions) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let Conditions { cpu, cores, kernel, redis, commit, pinning, runs } = conditions;
        writeln!(out, "cpu {cpu}, {cores} cores; {kernel}; {redis}")?;
        writeln!(
            out,
            "commit {commit}; pinning: {pinning}; {runs} runs of each figure: median [smallest - largest]"
        )?;
        if *runs < 5 {
            writeln!(out, "fewer runs than the five that a figure worth quoting has")?;
        }
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))?;
        let path =
            std::env::var("BENCH_JSON").map_or_else(|_| "target/bench/results.json".into(), PathBuf::from);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let json = serde_json::to_vec_pretty(&Json { conditions, rows: &self.rows })?;
        std::fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(out, "written to {}", path.display())?;
        Ok(())
    }
}

fn line(row: &Row) -> String {
    let Row { figure, what, persistence, unit, sample, median, target, met, failed } = row;
    if let Some(why) = failed {
        return format!("{figure:<10} {persistence:<4} {what:<52} failed: {why}");
    }
    let verdict = match (target, met) {
        (Some(Target::AtLeast(least)), Some(met)) => format!("  >= {} {}", number(*least), word(*met)),
        (Some(Target::AtMost(most)), Some(met)) => format!("  <= {} {}", number(*most), word(*met)),
        _ => String::new(),
    };
    let range = format!("[{} - {}]", number(sample.smallest()), number(sample.largest()));
    format!("{figure:<10} {persistence:<4} {what:<52} {:>10} {unit:<8} {range:<22}{verdict}", number(*median))
}

const fn word(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Reports progress, beside the table.
pub(crate) fn progress(what: &str) {
    eprintln!("bench: {what}");
}
