use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{protocol, serve};
use super::table::Connections;
use crate::problem::{Code, Problem};

/// How many connections that were told to close may still hold their handles.
const CLOSING: usize = 32;
/// How long to wait after the system has refused a connection for want of something.
const WAIT: Duration = Duration::from_millis(100);

/// Answers what comes in on `listener` until `shutdown`, and then until the requests are answered that had begun.
/// Dropping the future ends those too.
pub async fn listen(
    listener: TcpListener,
    routes: Router,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
) {
    let protocol = Arc::new(protocol());
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept(), if open.len() < connections.most() + CLOSING => match accepted {
                Ok((stream, peer)) => {
                    if let Some(connection) = enter(&connections, stream, peer) {
                        let (routes, protocol) = (routes.clone(), Arc::clone(&protocol));
                        open.spawn(serve(connection, routes, protocol, Arc::clone(&connections), shutdown.clone()));
                    }
                }
                Err(error) => withstand(&error, &connections).await,
            },
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Finds a place for a connection, or says that there is none.
fn enter(
    connections: &Connections,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(TcpStream, SocketAddr, super::table::Place)> {
    if let Some(place) = connections.enter(peer.ip()) {
        return Some((stream, peer, place));
    }
    tracing::warn!(%peer, "a connection was refused: all places are taken by callers with credentials");
    // One that cannot even be told sees its connection close.
    let _ = refuse(stream);
    None
}

/// Says without waiting for anything that there is no place.
fn refuse(stream: TcpStream) -> io::Result<()> {
    static BUSY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let problem = Problem::new(Code::Busy, "too many connections at once").retry_after_s(1);
        let body = problem.body();
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\nretry-after: 1\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            Problem::MEDIA_TYPE,
            body.len()
        );
        [head.into_bytes(), body].concat()
    });
    let mut stream = stream.into_std()?;
    stream.write_all(&BUSY)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // What was not read would make the system take the answer back.
    let _ = stream.read(&mut [0; 16 << 10])?;
    Ok(())
}

/// Goes on after the system failed to accept a connection.
async fn withstand(error: &io::Error, connections: &Connections) {
    // The client was gone before we came to it.
    let is_clients = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !is_clients {
        tracing::error!(error = %error, "no connection can be accepted now; trying again");
        connections.make_room();
        tokio::time::sleep(WAIT).await;
    }
}
