//! A proxy in front of a server that refuses, hangs, dawdles, loses answers or breaks off when it is told to.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How a proxy behaves, to connections that there are as to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As if it were not there.
    Passes,
    /// Ends connections and takes no new ones, as a server that has stopped.
    Refuses,
    /// Takes everything and passes nothing on, as a server that has frozen.
    Hangs,
    /// Holds each piece back for a while.
    Dawdles(Duration),
    /// Passes requests on, and ends the connection in place of the answer: what was asked for has been done.
    LosesAnswers,
    /// Ends a connection in the middle of what is sent to the server.
    BreaksOff,
}

/// How many bytes pass before a connection breaks off.
const BROKEN_AFTER: usize = 700;

pub(super) struct Proxy {
    /// Host and port.
    pub(super) address: String,
    manner: watch::Sender<Manner>,
}

impl Proxy {
    /// Starts one in front of the server at `target`, a host and a port.
    pub(super) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (manner, told) = watch::channel(Manner::Passes);
        let target: Arc<str> = target.into();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *told.borrow() == Manner::Refuses {
                    continue;
                }
                tokio::spawn(connection(client, Arc::clone(&target), told.clone()));
            }
        });
        Self { address, manner }
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

async fn connection(client: TcpStream, target: Arc<str>, told: watch::Receiver<Manner>) {
    let Ok(server) = TcpStream::connect(&*target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut refusing = told.clone();
    tokio::select! {
        () = pass(from_client, to_server, told.clone(), Way::ToServer) => {}
        () = pass(from_server, to_client, told, Way::ToClient) => {}
        _ = refusing.wait_for(|manner| *manner == Manner::Refuses) => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// Passes on what is sent one way, until the connection ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut told: watch::Receiver<Manner>, way: Way) {
    let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let manner = *told.borrow_and_update();
        let mut end = count;
        match (manner, way) {
            (Manner::Passes, _)
            | (Manner::LosesAnswers, Way::ToServer)
            | (Manner::BreaksOff, Way::ToClient) => {}
            (Manner::Refuses, _) | (Manner::LosesAnswers, Way::ToClient) => return,
            (Manner::Hangs, _) => {
                if told.wait_for(|manner| *manner != Manner::Hangs).await.is_err() {
                    return;
                }
            }
            (Manner::Dawdles(pause), _) => tokio::time::sleep(pause).await,
            (Manner::BreaksOff, Way::ToServer) => {
                passed += count;
                if passed > BROKEN_AFTER {
                    end = count / 2;
                }
            }
        }
        if to.write_all(&buffer[..end]).await.is_err() || end < count {
            return;
        }
    }
}

/// The URL with another host and port.
pub(super) fn through(url: &str, proxy: &Proxy) -> String {
    url.replacen(&server_of(url), &proxy.address, 1)
}

/// Host and port of a URL.
pub(super) fn server_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("a URL");
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}
