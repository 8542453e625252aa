//! Streams of server-sent events, as a client reads them.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// Far longer than anything here takes, also on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// What kind of event it is.
    pub name: String,
    /// Its id, if it has one of its own.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

/// An open stream.
pub struct EventStream {
    response: Response,
    text: Vec<u8>,
    /// The last id that was sent, as a browser would send it when it connects again.
    pub last_id: Option<String>,
}

impl EventStream {
    /// Opens a stream.
    ///
    /// # Panics
    /// When there is no answer, or it is no stream.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.expect("the API answers");
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        assert_eq!(
            (response.status().as_u16(), kind),
            (200, Some("text/event-stream")),
            "{:?}",
            response.headers()
        );
        Self { response, text: Vec::new(), last_id: None }
    }

    /// Opens a stream and reads up to its `ready`.
    ///
    /// # Panics
    /// As [`EventStream::open`], and when it begins with anything else.
    pub async fn ready(request: RequestBuilder) -> Self {
        let mut stream = Self::open(request).await;
        let ready = stream.next().await.expect("the stream goes on");
        assert_eq!(ready.name, "ready", "{ready:?}");
        stream
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// # Panics
    /// When nothing comes for long, or it is not JSON.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = self.read(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}"));
            self.text.extend_from_slice(&chunk.ok().flatten()?);
        }
    }

    fn read(&mut self, block: &str) -> Option<ServerEvent> {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let id = field("id").map(str::to_owned);
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = field("data")?;
        let data = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        Some(ServerEvent { name: field("event").unwrap_or_default().to_owned(), id, data })
    }

    /// The next event that `wanted` says yes to.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&ServerEvent) -> bool) -> ServerEvent {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Some(event) if wanted(&event) => return event,
                Some(event) => seen.push(event),
                None => panic!("the stream ended before {what}, after {seen:?}"),
            }
        }
    }
}
