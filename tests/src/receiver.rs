//! A receiver of webhooks: a real HTTP server that remembers what it got and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// How a receiver answers a request.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// With a status.
    Status(u16),
    /// With a redirect.
    Redirect(String),
    /// Not at all.
    Hang,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Received {
    /// A header.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether `secret` verifies it, as the library of the specification does.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(&self.body, &self.headers).is_ok()
    }
}

#[derive(Default)]
struct Inner {
    received: Vec<Received>,
    next: VecDeque<Reaction>,
    usual: Option<Reaction>,
    open: usize,
    most: usize,
}

/// A server on this machine. Answers 204 unless it is told otherwise.
pub struct Receiver {
    /// Where it is.
    pub url: String,
    inner: Arc<Mutex<Inner>>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, inner, serving }
    }

    /// Answers so from now on.
    pub fn always(&self, reaction: Reaction) {
        lock(&self.inner).usual = Some(reaction);
    }

    /// Answers the next requests so, one after the other.
    pub fn next(&self, reactions: impl IntoIterator<Item = Reaction>) {
        lock(&self.inner).next.extend(reactions);
    }

    /// What came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.inner).received.clone()
    }

    /// The most requests that were open at the same time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        lock(&self.inner).most
    }

    /// Waits until at least so many requests came, and returns all.
    pub async fn wait(&self, count: usize) -> Vec<Received> {
        wait_for("requests to come", async || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(received.len()) }
        })
        .await
    }
}

fn lock(inner: &Mutex<Inner>) -> std::sync::MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a request as open until it is answered, or its client leaves.
struct Open(Arc<Mutex<Inner>>);

impl Open {
    fn count(inner: &Arc<Mutex<Inner>>) -> Self {
        let mut counted = lock(inner);
        counted.open += 1;
        counted.most = counted.most.max(counted.open);
        Self(Arc::clone(inner))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0).open -= 1;
    }
}

async fn receive(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> Response {
    let _open = Open::count(&inner);
    let reaction = {
        let mut inner = lock(&inner);
        inner.received.push(Received { headers, body });
        inner.next.pop_front().or_else(|| inner.usual.clone()).unwrap_or(Reaction::Status(204))
    };
    match reaction {
        Reaction::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reaction::Redirect(to) => {
            (StatusCode::FOUND, [(header::LOCATION, HeaderValue::from_str(&to).unwrap())]).into_response()
        }
        Reaction::Hang => std::future::pending().await,
    }
}
