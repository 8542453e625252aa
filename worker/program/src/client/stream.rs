//! Server-sent events of the API: read as they come, and resumed after every break.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, Response};
use serde_json::Value;

use super::api::Api;
use super::failure::Failure;

/// The API gives a sign of life far more often.
const SILENCE: Duration = Duration::from_secs(60);
/// A stream may go on for as long as the work does.
const WHOLE: Duration = Duration::from_secs(7 * 86_400);
/// How often in a row the API may be away, a second each, before following ends.
const AWAY: u32 = 60;
/// Far more than the API sends as one event.
const EVENT_BYTES: usize = 16 << 20;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServerEvent {
    pub(super) name: String,
    pub(super) data: Value,
}

/// A stream of events at a path of the API.
pub(super) struct Events<'a> {
    api: &'a Api,
    path: String,
    last_id: Option<String>,
    open: Option<Response>,
    text: Vec<u8>,
    away: u32,
}

impl<'a> Events<'a> {
    /// The events at `path`, which is opened with the first.
    pub(super) const fn of(api: &'a Api, path: String) -> Self {
        Self { api, path, last_id: None, open: None, text: Vec::new(), away: 0 }
    }

    /// The next event. After a break it goes on with the event after the last one that was seen.
    pub(super) async fn next(&mut self) -> Result<ServerEvent, Failure> {
        loop {
            if let Some(event) = self.take()? {
                // Whatever made the API end the stream is said when it is opened again.
                if event.name == "end" {
                    self.leave();
                    continue;
                }
                self.away = 0;
                return Ok(event);
            }
            if let Err(failure) = self.read().await {
                self.leave();
                let Some(seconds) = failure.passes_in_s().filter(|_| self.away < AWAY) else {
                    return Err(failure);
                };
                self.away += 1;
                tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
            }
        }
    }

    fn leave(&mut self) {
        self.open = None;
        self.text.clear();
    }

    /// Reads more of the stream, and opens it first if need be.
    async fn read(&mut self) -> Result<(), Failure> {
        let broken = |reason: String| Failure::Unreachable { url: self.api.url().to_owned(), reason };
        let response = if let Some(response) = &mut self.open {
            response
        } else {
            let request = self.api.request(Method::GET, &self.path).header(ACCEPT, "text/event-stream");
            let request = match &self.last_id {
                Some(id) => request.header("last-event-id", id),
                None => request,
            };
            self.open.insert(self.api.open(request.timeout(WHOLE)).await?)
        };
        match tokio::time::timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(chunk))) if self.text.len() + chunk.len() <= EVENT_BYTES => {
                self.text.extend_from_slice(&chunk);
                Ok(())
            }
            Ok(Ok(Some(_))) => Err(Failure::Failed("the API sends an event that does not end".to_owned())),
            Ok(Ok(None)) => Err(broken("ended the stream of events".to_owned())),
            Ok(Err(error)) => Err(broken(format!("broke off: {}", jobs::error::root(&error)))),
            Err(_) => Err(broken("gives no sign of life".to_owned())),
        }
    }

    /// Takes a whole event out of what was read.
    fn take(&mut self) -> Result<Option<ServerEvent>, Failure> {
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let (mut name, mut data) = (String::new(), String::new());
            for line in block.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut name),
                    "data" => data.push_str(value),
                    "id" => self.last_id = Some(value.to_owned()),
                    // A comment, or how long to wait before the next connection.
                    _ => {}
                }
            }
            if !data.is_empty() {
                let unreadable = |_| Failure::Failed("the API sends events that are not JSON".to_owned());
                let data = serde_json::from_str(&data).map_err(unreadable)?;
                return Ok(Some(ServerEvent { name, data }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_read_in_pieces_and_comments_are_left_out() {
        let api = Api::new("http://localhost:1".to_owned(), None).unwrap();
        let mut events = Events::of(&api, "/events".to_owned());
        events.text.extend_from_slice(b":\n\nretry: 2000\nevent: job\nid: 1-1\ndata: {\"a\":");
        assert_eq!(events.take().unwrap(), None);
        events.text.extend_from_slice(b"1}\n\nevent: x\ndata: {}\n\n");
        let job = ServerEvent { name: "job".to_owned(), data: json!({ "a": 1 }) };
        assert_eq!(events.take().unwrap(), Some(job));
        assert_eq!(events.last_id.as_deref(), Some("1-1"));
        assert_eq!(events.take().unwrap().map(|event| event.name).as_deref(), Some("x"));
        assert_eq!(events.take().unwrap(), None);
        events.text.extend_from_slice(b"data: nonsense\n\n");
        assert!(matches!(events.take(), Err(Failure::Failed(_))));
    }
}
