//! Where log lines go.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use super::console::{LogLine, say};
use super::variables;

/// Chooses what is logged.
const SETTING: &str = "RUST_LOG";

/// Logs to standard error: JSON lines for machines, text at a terminal. `RUST_LOG` chooses what is shown, else
/// `filter`.
/// Warns of variables that are no settings.
///
/// Logging never waits for standard error and never fails: lines that it does not take are lost and counted.
pub fn start(filter: &str) {
    let chosen = std::env::var(SETTING).ok().filter(|text| !text.is_empty());
    let chosen = chosen.map(|text| EnvFilter::builder().parse(&text).map_err(|error| (text, error)));
    let (filter, unreadable) = match chosen {
        Some(Ok(chosen)) => (chosen, None),
        Some(Err(unreadable)) => (usual(filter), Some(unreadable)),
        None => (usual(filter), None),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogLine)
        // It would print to standard error what it could not write to standard error, and panic.
        .log_internal_errors(false);
    // A second start in one process (tests) keeps the first.
    let started = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().try_init()
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    if let Some((text, error)) = unreadable {
        tracing::warn!(
            target: variables::TARGET,
            "{SETTING}={text} is not used: {error}; write levels such as info or warn,worker=debug"
        );
    }
    variables::warn_of_unknown();
}

/// Warnings about settings are shown whatever else is.
fn usual(filter: &str) -> EnvFilter {
    EnvFilter::new(format!("{filter},{}=warn", variables::TARGET))
}

/// The standard hook writes to standard error itself, and so waits for a reader that takes nothing.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(
            panic.location = place,
            panic.thread = thread,
            panic.backtrace = backtrace,
            "a thread panicked: {message}"
        );
    } else {
        say(format!("thread {thread} panicked at {place}: {message}"));
    }
}
