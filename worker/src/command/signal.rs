//! When somebody asks the program to end.

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the first Ctrl-C or `SIGTERM`.
///
/// # Errors
/// When the operating system does not let us listen.
pub(super) async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}
