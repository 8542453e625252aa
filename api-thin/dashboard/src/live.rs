//! Pages that follow what happens: a page asked for as `text/event-stream` comes again whenever its content changed.
//!
//! An event holds the new content of `<main>`; its id is a digest of it. A browser that reconnects names the last one
//! it has seen, and gets nothing until there is something new.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;

use crate::assets::digest;

/// How long a page rests between two looks.
const REST: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 4 << 20;

pub(crate) async fn follow(request: Request, next: Next) -> Response {
    let wants_events =
        request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    if !wants_events || request.method() != Method::GET {
        return next.run(request).await;
    }
    let seen =
        request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let (mut parts, _) = request.into_parts();
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    let looks = stream::unfold((next, parts, seen), |(next, parts, seen)| async move {
        loop {
            tokio::time::sleep(REST).await;
            let request = Request::from_parts(parts.clone(), Body::empty());
            let response = next.clone().run(request).await;
            if response.status() != StatusCode::OK {
                return None; // The browser loads the page and finds out why.
            }
            let content = content(response).await?;
            let id = digest(&content);
            if id != seen {
                let event = Event::default().id(&id).data(content);
                return Some((Ok::<_, Infallible>(event), (next, parts, id)));
            }
        }
    });
    Sse::new(looks).keep_alive(KeepAlive::default()).into_response()
}

/// What stands in `<main>`.
async fn content(response: Response) -> Option<String> {
    let bytes = to_bytes(response.into_body(), MOST_BYTES).await.ok()?;
    let html = String::from_utf8(bytes.into()).ok()?;
    let begin = html.find("<main")?;
    let begin = begin + html[begin..].find('>')? + 1;
    let end = html.rfind("</main>")?;
    Some(html.get(begin..end)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_content_is_what_stands_in_main() {
        let response = axum::response::Html("<body><nav>x</nav><main id=\"main\"><p>y</p></main></body>")
            .into_response();
        assert_eq!(content(response).await.as_deref(), Some("<p>y</p>"));
        let none = axum::response::Html("<p>y</p>").into_response();
        assert_eq!(content(none).await, None);
    }
}
