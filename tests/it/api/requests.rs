use std::time::Duration;

use api_thin::RequestLimits;
use reqwest::Method;
use tests::api::{Api, ApiOptions, Written, problem, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn every_answer_has_an_id_and_is_not_to_be_kept() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let reply = send(acme.request(Method::GET, "/kbs").header("x-request-id", "order-1")).await;
    assert_eq!(reply.header("x-request-id"), "order-1");
    let refused = send(api.request(Method::GET, "/nowhere").header("x-request-id", "<script>")).await;
    assert!(refused.header("x-request-id").parse::<uuid::Uuid>().is_ok());
    for reply in [reply, refused] {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended() {
    let limits = RequestLimits { request_time: Duration::from_millis(300), ..RequestLimits::default() };
    let api = Api::with(ApiOptions { limits, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let before = Written::of(&api, &acme).await;
    let mut stream = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /api/v1/kbs/default/documents/text HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{",
        acme.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"request_timeout\""), "{answer}");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn uploads_beyond_the_memory_limit_wait_for_their_turn() {
    let limits = RequestLimits { uploads_bytes: 1, request_bytes: 100_000, ..RequestLimits::default() };
    let api = Api::with(ApiOptions { limits, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let text = "x ".repeat(30_000);
    let names: Vec<String> = (0..6).map(|number| format!("{number}.md")).collect();
    let replies = futures::future::join_all(names.iter().map(|name| acme.upload_text(name, &text))).await;
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
}

#[tokio::test]
async fn an_announced_giant_is_refused_before_it_is_sent() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let mut stream = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /api/v1/kbs/default/documents/text HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
        acme.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 413");
    problem(&acme.get("/nowhere").await, 404, "unknown_route");
}
