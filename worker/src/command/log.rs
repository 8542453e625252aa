//! Where log lines go.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs to standard error: JSON lines for machines, text for people at a terminal. `RUST_LOG` chooses, else
/// `filter`.
pub(super) fn start(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    if std::io::stderr().is_terminal() {
        let _ = builder.compact().try_init();
    } else {
        let _ = builder.json().try_init();
    }
}
