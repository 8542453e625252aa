//! The way from `main` to an exit code.

use std::process::ExitCode;
use std::time::Duration;

use super::console::{flush, say};

/// How long blocking work that is under way may go on after the program's own end.
const LAST_WORK: Duration = Duration::from_secs(10);
/// How long a slow reader of standard error may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs a program on a runtime of its own. Its error becomes one line on standard error.
pub fn run(program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(program);
        runtime.shutdown_timeout(LAST_WORK);
        done
    });
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("error: {}", jobs::error::sentence(error.as_ref())));
            ExitCode::FAILURE
        }
    };
    flush(LAST_LINES);
    code
}
