//! A minimal S3 server in memory: only the operations that the blobs use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// Objects per listing: few, so that tests see more than one page.
const LISTED: usize = 2;

/// The objects by key, each with its place in the order of storing: each next one is a second younger.
type Objects = BTreeMap<String, (usize, Bytes)>;

#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<Objects>>);

/// Starts a server with an empty bucket and returns its address. It ends with the test's runtime.
pub(super) async fn start() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(Bucket::default());
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

async fn answer(
    State(Bucket(objects)): State<Bucket>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !signed.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=key-id/")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(key) = uri.path().strip_prefix("/originals") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let key = key.trim_start_matches('/').to_owned();
    let mut objects = objects.lock().unwrap();
    match method {
        Method::PUT => {
            let before = objects.len();
            objects.insert(key, (before, body));
            ([(header::ETAG, "\"1\"")], "").into_response()
        }
        Method::GET if key.is_empty() => list(&objects, &query).into_response(),
        Method::GET => match objects.get(&key) {
            Some((_, bytes)) => {
                let modified = "Tue, 14 Nov 2023 22:13:20 GMT";
                ([(header::ETAG, "\"1\""), (header::LAST_MODIFIED, modified)], bytes.clone()).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::POST if query.contains_key("delete") => {
            delete_many(&mut objects, &String::from_utf8_lossy(&body)).into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn list(objects: &Objects, query: &BTreeMap<String, String>) -> String {
    let empty = String::new();
    let prefix = query.get("prefix").unwrap_or(&empty);
    let after = query.get("continuation-token").unwrap_or(&empty);
    let found: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with(prefix) && *key > after).collect();
    let mut answer = String::from("<ListBucketResult>");
    for (key, (before, bytes)) in found.iter().take(LISTED) {
        write!(
            answer,
            "<Contents><Key>{key}</Key><Size>{}</Size><ETag>\"1\"</ETag>\
             <LastModified>2023-11-14T22:13:{:02}.000Z</LastModified></Contents>",
            bytes.len(),
            20 + before
        )
        .unwrap();
    }
    if found.len() > LISTED {
        let token = found[LISTED - 1].0;
        write!(answer, "<NextContinuationToken>{token}</NextContinuationToken>").unwrap();
    }
    answer + "</ListBucketResult>"
}

fn delete_many(objects: &mut Objects, request: &str) -> String {
    let mut answer = String::from("<DeleteResult>");
    for part in request.split("<Key>").skip(1) {
        let key = part.split("</Key>").next().unwrap_or_default();
        objects.remove(key);
        write!(answer, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
    }
    answer + "</DeleteResult>"
}
