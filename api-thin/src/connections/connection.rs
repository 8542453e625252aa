//! Accepting connections and answering their requests.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::answer_body::AnswerBody;
use super::connection_table::{Connection, Connections, OpenRequest, Place};
use super::socket::{Activity, Socket};
use crate::config::ConnectionLimits;
use crate::problem::{Code, Problem};

/// How many connections that are being closed may still hold their handles.
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

/// Enters a connection into the table, or refuses it when the table is full.
fn enter(
    connections: &Connections,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(TcpStream, SocketAddr, Place)> {
    if let Some(place) = connections.enter(peer.ip()) {
        return Some((stream, peer, place));
    }
    tracing::warn!(%peer, "a connection was refused: all places are taken by callers with credentials");
    // If even the refusal cannot be written, the client sees its connection close.
    let _ = refuse(stream);
    None
}

/// Writes the refusal without waiting for the client.
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
    // The client had gone before its connection was accepted.
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

/// How long a connection past its time limit may take to close in order.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many requests a connection that never showed good credentials may have at once.
const UNAUTHENTICATED_REQUESTS: usize = 8;

/// How connections are spoken with: buffers, streams and control frames have limits of their own, so that what an
/// unauthenticated client makes us keep is bounded too.
pub(super) fn protocol() -> Builder<TokioExecutor> {
    const KIB: u32 = 1024;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(32 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(100)
        .max_header_list_size(32 * KIB)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .initial_stream_window_size(64 * KIB)
        .initial_connection_window_size(512 * KIB)
        .max_send_buf_size(64 << 10);
    builder
}

/// Answers the requests of one connection until it is closed, by whichever side.
pub(super) async fn serve(
    (stream, peer, place): (TcpStream, SocketAddr, Place),
    routes: Router,
    protocol: Arc<Builder<TokioExecutor>>,
    all: Arc<Connections>,
    shutdown: CancellationToken,
) {
    // Small answers go at once; where that cannot be set they go a little later.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::new(Instant::now()));
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&activity), all.limits().answer_time));
    let connection = Arc::new(Connection {
        id: place.id,
        peer,
        is_proxy: all.is_proxy(peer.ip()),
        all: Arc::clone(&all),
        activity: Arc::clone(&activity),
        was_authenticated: AtomicBool::new(false),
    });
    let service = service_fn(move |request| answer(Arc::clone(&connection), routes.clone(), request));
    let mut served = pin!(protocol.serve_connection(socket, service));
    let mut overtime = pin!(Overtime::new(&activity, all.limits()));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            () = place.close.notified() => return,
            _ = served.as_mut() => return,
            () = poll_fn(|context| overtime.as_mut().poll_over(context)) => break,
            () = activity.hurried() => {}
            () = shutdown.cancelled(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(FAREWELL, served).await;
}

async fn answer(
    connection: Arc<Connection>,
    mut routes: Router,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (open, others) = OpenRequest::begin(&connection, request.version());
    if others >= UNAUTHENTICATED_REQUESTS
        && !connection.is_proxy
        && !connection.was_authenticated.load(Ordering::Relaxed)
    {
        let detail = format!(
            "a connection without credentials has at most {UNAUTHENTICATED_REQUESTS} requests at once"
        );
        return Ok(Problem::new(Code::Busy, detail).retry_after_s(1).into_response());
    }
    request.extensions_mut().insert(ConnectInfo(connection.peer));
    request.extensions_mut().insert(Arc::clone(&open));
    let answer = routes.call(request.map(Body::new)).await?;
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let comes_as_it_happens = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    Ok(answer.map(|body| {
        if comes_as_it_happens {
            return AnswerBody::watched_by_part(body, &connection.activity, Some(open));
        }
        AnswerBody::watched(body, &connection.activity, Some(open), Instant::now())
    }))
}

/// Becomes ready when the connection has exceeded one of its time limits.
struct Overtime<'a> {
    activity: &'a Activity,
    limits: &'a ConnectionLimits,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Overtime<'a> {
    fn new(activity: &'a Activity, limits: &'a ConnectionLimits) -> Self {
        let first = activity.deadline(limits, Instant::now());
        Self { activity, limits, timer: Box::pin(sleep_until(first)) }
    }

    /// Is polled whenever the connection is, so that it sees at once when less time is left.
    fn poll_over(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let deadline = self.activity.deadline(self.limits, now);
            if deadline <= now {
                return Poll::Ready(());
            }
            if deadline < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }
}
