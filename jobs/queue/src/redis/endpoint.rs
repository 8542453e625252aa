//! Where a server on this machine listens, and asking it without a runtime.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use redis::{FromRedisValue, Parser, RedisError};

/// How long a server may take to answer one command.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a server listens on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of 127.0.0.1.
    Port(u16),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Endpoint {
    /// The URL, for a [`RedisAddress`](crate::redis::RedisAddress).
    #[must_use]
    pub fn url(&self) -> String {
        let path = match self {
            Self::Port(port) => return format!("redis://127.0.0.1:{port}"),
            Self::Socket(path) => path,
        };
        let mut url = "redis+unix://".to_owned();
        for &byte in path.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
                url.push(byte.into());
            } else {
                let _ = write!(url, "%{byte:02X}");
            }
        }
        url
    }

    /// Whether a process listens there.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        match self {
            Self::Port(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
            Self::Socket(path) => UnixStream::connect(path).is_ok(),
        }
    }

    /// Sends one command on a connection of its own, without credentials, and blocks until it is answered: for finding
    /// out what is there. Programs use a [`RedisClient`](crate::redis::RedisClient).
    ///
    /// # Errors
    /// When there is no answer within some seconds, or it is an error.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, RedisError> {
        self.ask_within(command, ANSWER)
    }

    pub(super) fn ask_within<T: FromRedisValue>(
        &self,
        command: &[&str],
        limit: Duration,
    ) -> Result<T, RedisError> {
        let packed = redis::cmd(command[0]).arg(&command[1..]).get_packed_command();
        match self {
            Self::Port(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port))?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                exchange(stream, &packed)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                exchange(stream, &packed)
            }
        }
    }
}

fn exchange<T: FromRedisValue>(mut stream: impl Read + Write, packed: &[u8]) -> Result<T, RedisError> {
    stream.write_all(packed)?;
    let answer = Parser::new().parse_value(stream)?;
    Ok(T::from_redis_value(answer.extract_error()?)?)
}
