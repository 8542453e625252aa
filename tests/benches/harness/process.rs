//! A child process of this very program, spoken to in lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cores::{Cores, Place};

/// Ends when our end of its pipe closes.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts the sub-command `role` with `spec` at `place`.
    pub(crate) fn start(cores: &Cores, place: Place, role: &str, spec: &impl Serialize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let program = program.to_str().context("the program's path is not text")?;
        let mut command = cores.command(place, program);
        command.args([role, &serde_json::to_string(spec)?]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("the pipe was asked for")?);
        Ok(Self { input: child.stdin.take(), child, output })
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("the process was told to end")?;
        writeln!(input, "{line}").context("the process has gone")
    }

    /// Waits for its next line. Blocks this thread: while a figure is taken, we have nothing else to do.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the process answered {line:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}
