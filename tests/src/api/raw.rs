//! Clients that say exactly what a test wants them to say, and when.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::bed::Api;

/// Longer than any answer takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of its own.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
}

/// An answer as it stood on the wire.
#[derive(Debug)]
pub struct RawReply {
    /// Its status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl RawReply {
    /// Whether it says that the connection ends.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.head.contains("\r\nconnection: close")
    }
}

impl Api {
    /// Connects from 127.0.0.1.
    pub async fn connect(&self) -> RawClient {
        self.connect_from(1).await
    }

    /// Connects from 127.0.0.`last`.
    ///
    /// # Panics
    /// When the API does not listen.
    pub async fn connect_from(&self, last: u8) -> RawClient {
        RawClient::connect(self.url.trim_start_matches("http://").parse().expect("an address"), last).await
    }
}

impl RawClient {
    /// Connects from 127.0.0.`last`.
    ///
    /// # Panics
    /// When nothing listens.
    pub async fn connect(address: SocketAddr, last: u8) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).expect("a free port");
        Self { stream: socket.connect(address).await.expect("the server listens") }
    }

    /// Sends; `false` when the server has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Reads one answer; `None` when the server closed without one.
    ///
    /// # Panics
    /// When nothing comes, or half an answer.
    pub async fn reply(&mut self) -> Option<RawReply> {
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            let mut buffer = [0; 4096];
            match self.read(&mut buffer).await {
                0 if read.is_empty() => return None,
                0 => panic!("half an answer: {:?}", String::from_utf8_lossy(&read)),
                length => read.extend_from_slice(&buffer[..length]),
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        let mut body = read.split_off(end + 4);
        while body.len() < length {
            let mut buffer = [0; 4096];
            match self.read(&mut buffer).await {
                0 => panic!("{} of {length} bytes after {head}", body.len()),
                got => body.extend_from_slice(&buffer[..got]),
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(RawReply { status: status.expect("a status"), head, body })
    }

    /// Waits until the server closes, and discards everything it sends before.
    pub async fn closed(&mut self) {
        let mut buffer = [0; 4096];
        while self.read(&mut buffer).await > 0 {}
    }

    /// Everything that the server sends until it closes, or has ended an answer of unknown length.
    pub async fn rest(&mut self) -> String {
        let (mut read, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            let length = self.read(&mut buffer).await;
            read.extend_from_slice(&buffer[..length]);
            if length == 0 || read.ends_with(b"\r\n0\r\n\r\n") {
                return String::from_utf8_lossy(&read).into_owned();
            }
        }
    }

    /// Whether the server closes within `wait`.
    pub async fn closes_within(&mut self, wait: Duration) -> bool {
        tokio::time::timeout(wait, self.closed()).await.is_ok()
    }

    /// A reset is an end too.
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = tokio::time::timeout(PATIENCE, self.stream.read(buffer)).await;
        read.expect("the server answers or closes").unwrap_or_default()
    }
}
