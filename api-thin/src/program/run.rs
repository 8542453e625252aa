//! The way from `main` to an exit code.

use std::io;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::aliases::alias_of;
use super::console::{flush, say};
use crate::config::InvalidConfig;

/// How long blocking work that is under way may go on after the program's own end.
const LAST_WORK: Duration = Duration::from_secs(10);
/// How long a slow reader of standard error may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What a program that failed says on standard error, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// One line or several.
    pub text: String,
    /// Not 0.
    pub code: u8,
}

impl Ending {
    /// One line with everything that caused the error, and exit code 1.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let invalid = error.downcast_ref::<InvalidConfig>();
        let alias = invalid.and_then(|invalid| alias_of(invalid.setting));
        let alias = alias.map(|alias| format!(" (it is set as {alias})")).unwrap_or_default();
        Self { text: format!("error: {}{alias}", jobs::error::sentence(error.as_ref())), code: FAILURE }
    }
}

const FAILURE: u8 = 1;

/// Runs a program on a runtime of its own. Its error becomes one line on standard error.
pub fn run(program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    run_to(program, Ending::of)
}

/// The same for a program with endings of its own.
pub fn run_to(
    program: impl Future<Output = anyhow::Result<()>>,
    ending: impl FnOnce(&anyhow::Error) -> Ending,
) -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(program);
        #[cfg(feature = "otlp")]
        super::traces::finish();
        runtime.shutdown_timeout(LAST_WORK);
        done
    });
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let Ending { text, code } = ending(&error);
            say(text);
            ExitCode::from(code)
        }
    };
    flush(LAST_LINES);
    code
}

/// Ctrl-C and `SIGTERM`, noticed from when this is made: one that comes while a program starts is not lost, not even
/// where the process ignores it by itself, as the first of a container does.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When a signal handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns when the first has come.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The result of `work`; `None` when a signal came first, and ended it.
    pub async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.asked() => None,
        }
    }
}

/// The address that the API listens on.
#[derive(Debug, Clone, Args)]
pub struct ListenSettings {
    /// Address and port to answer on.
    #[arg(long, env = Self::SETTING, default_value = "127.0.0.1:8080", value_parser = listen_address, value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

impl ListenSettings {
    /// The variable's name.
    pub const SETTING: &'static str = "TENANTRY_LISTEN";
}

/// Reads an address to listen on. `localhost` is 127.0.0.1.
///
/// # Errors
/// When it is none; the text shows some.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    local.or_else(|| text.parse().ok()).ok_or_else(|| {
        "expected an address and a port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every network".to_owned()
    })
}

/// Listens on `address`, which is the value of `setting`.
///
/// # Errors
/// When it cannot be had. The error names the setting, the address and the fix.
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, InvalidConfig> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| InvalidConfig::new(setting, problem(address, &error)))
}

fn problem(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program listens on {address}: stop it, or choose another port (0 is a free one)")
        }
        ErrorKind::AddrNotAvailable => {
            format!(
                "this machine has no address {}: choose 127.0.0.1, or 0.0.0.0 for every network",
                address.ip()
            )
        }
        ErrorKind::PermissionDenied => {
            format!("this user may not listen on {address}: choose a port from 1024 on")
        }
        _ => {
            let cause = jobs::error::plain_io(error);
            format!("cannot listen on {address} ({cause}): choose another address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(listen_address("127.0.0.1:80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(listen_address("localhost:18103").unwrap().to_string(), "127.0.0.1:18103");
        assert_eq!(listen_address("[::1]:0").unwrap().to_string(), "[::1]:0");
        for text in ["", "8080", "example.com:80", "localhost", "localhost:http", "127.0.0.1"] {
            assert!(listen_address(text).unwrap_err().contains("such as 127.0.0.1:8080"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_its_setting() {
        let taken = bind("TENANTRY_LISTEN", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind("TENANTRY_LISTEN", address).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "TENANTRY_LISTEN: another program listens on {address}: stop it, or choose another port (0 is a \
                 free one)"
            )
        );
        let elsewhere = bind("TENANTRY_LISTEN", "192.0.2.1:1".parse().unwrap()).await.unwrap_err();
        assert!(elsewhere.problem.contains("no address 192.0.2.1"), "{elsewhere}");
    }
}
