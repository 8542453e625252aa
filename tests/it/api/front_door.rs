//! What clients can do before they have shown credentials, and with how little.

use std::net::SocketAddr;
use std::time::Duration;

use api_thin::RequestLimits;
use api_thin::{ApiConfig, ConnectionLimits};
use reqwest::{Client, Method};
use serde_json::json;
use tests::api::{Api, ApiOptions, ApiTenant, RawClient, problem, send};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn connections(most: usize, per_address: usize) -> ConnectionLimits {
    ConnectionLimits { connections: Some(most), per_address, ..ConnectionLimits::default() }
}

async fn api(connections: ConnectionLimits, limits: RequestLimits) -> Api {
    Api::with(ApiOptions { connections, limits, ..ApiOptions::default() }).await
}

/// The head of a request with a body of `length` bytes, or of a length that is not said.
fn head(path: &str, key: &str, length: Option<usize>) -> String {
    let length =
        length.map_or("Transfer-Encoding: chunked".to_owned(), |length| format!("Content-Length: {length}"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         {length}\r\n\r\n"
    )
}

const TEXT: &str = "/api/v1/kbs/default/documents/text";
const LOGIN: &str = "/api/v1/auth/login";

/// An upload, a log-in and two actions of the operator, each on a connection of its own.
async fn everybody_is_served(api: &Api, acme: &ApiTenant, round: usize) {
    let fresh = |method, path: &str| Client::new().request(method, format!("{}{path}", api.url));
    let document = json!({ "name": format!("{round}.md"), "text": "text" });
    let upload = send(fresh(Method::POST, TEXT).bearer_auth(&acme.key).json(&document)).await;
    assert_eq!(upload.status, 202, "{upload:?}");
    let log_in = json!({ "username": "eve", "password": "guess" });
    problem(&send(fresh(Method::POST, LOGIN).json(&log_in)).await, 401, "login_failed");
    for action in ["suspend", "resume"] {
        let path = format!("/api/v1/tenants/acme/{action}");
        let done = send(fresh(Method::POST, &path).bearer_auth(tests::api::OPERATOR_KEY)).await;
        assert_eq!(done.status, 200, "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_or_little_keep_no_one_out() {
    let api = api(connections(60, 20), RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let mut silent = Vec::new();
    for round in 0..4 {
        for number in 0..100 {
            let mut client = api.connect_from(2 + number).await;
            match number % 5 {
                0 => {}
                1 => drop(client.send("GET / HTTP/1.1\r\nHost:").await),
                2 => drop(client.send(head(LOGIN, "x", Some(1_000))).await),
                3 => drop(client.send(head(LOGIN, "x", None) + "1\r\n{\r\n").await),
                _ => drop(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await),
            }
            silent.push(client);
        }
        everybody_is_served(&api, &acme, round).await;
    }
    for mut first in silent.drain(..300) {
        first.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_share_and_callers_at_work_keep_theirs() {
    let api = api(connections(60, 3), RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let mut elsewhere = api.connect_from(8).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(api.connect_from(9).await);
    }
    clients.remove(0).closed().await;
    for client in &mut clients {
        let upload =
            head(TEXT, &acme.key, Some(1_000)).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        assert!(client.send(upload).await);
        assert_eq!(client.reply().await.unwrap().status, 100, "it was let in, and its body is awaited");
    }
    let refused = api.connect_from(9).await.reply().await.unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.says_close() && refused.body.contains("\"busy\""), "{refused:?}");
    assert!(refused.head.contains("retry-after: 1"));
    assert!(elsewhere.send(GET).await);
    assert_eq!(elsewhere.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let limits = ConnectionLimits { header_time: Duration::from_millis(300), ..ConnectionLimits::default() };
    let api = api(limits, RequestLimits::default()).await;
    for begin in
        ["", "G", "GET / HTTP/1.1\r\nHost:", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut client = api.connect().await;
        assert!(client.send(begin).await);
        client.closed().await;
    }
    // Nor do they come if they trickle, at first or later on.
    for before in ["", GET] {
        let mut client = api.connect().await;
        assert!(client.send(before).await);
        if !before.is_empty() {
            assert_eq!(client.reply().await.unwrap().status, 200);
        }
        assert!(client.send("GET / HTTP/1.1\r\nX: ").await);
        while !client.closes_within(Duration::from_millis(50)).await {
            client.send("x").await;
        }
    }
}

#[tokio::test]
async fn a_connection_without_requests_ends() {
    let limits = ConnectionLimits { idle_time: Duration::from_millis(300), ..ConnectionLimits::default() };
    let api = api(limits, RequestLimits::default()).await;
    let mut client = api.connect().await;
    for _ in 0..3 {
        assert!(client.send(GET).await);
        let reply = client.reply().await.unwrap();
        assert!(reply.status == 200 && !reply.says_close(), "{reply:?}");
    }
    client.closed().await;
}

/// A GET of HTTP/2 by a client that lets nothing of the answer come.
fn request_with_closed_window(path: &str) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0; GET and http stand in the table of HPACK, path and authority do not.
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let fields = [vec![0x82, 0x86, 0x04], text(path), vec![0x01], text("x")].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, frame(1, 5, 1, &fields)].concat()
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let limits = ConnectionLimits { answer_time: Duration::from_millis(300), ..ConnectionLimits::default() };
    let api = api(limits, RequestLimits::default()).await;
    let mut client = api.connect().await;
    assert!(client.send(request_with_closed_window("/openapi.json")).await);
    assert!(client.closes_within(Duration::from_secs(15)).await);
    // Part by part it comes, however small the parts are.
    let client = Client::builder().http2_prior_knowledge().http2_initial_stream_window_size(1_000);
    let request = client.build().unwrap().get(format!("{}/openapi.json", api.url));
    let mut answer = request.send().await.unwrap();
    let (length, mut taken) = (answer.content_length().unwrap(), 0);
    while let Some(part) = answer.chunk().await.unwrap() {
        taken += part.len() as u64;
    }
    assert!(length > 50_000 && taken == length, "{taken} of {length} bytes");
}

#[tokio::test]
async fn bodies_that_do_not_come_end_the_request() {
    let limits = RequestLimits { body_idle_time: Duration::from_millis(300), ..RequestLimits::default() };
    let api = api(ConnectionLimits::default(), limits).await;
    let acme = api.tenant("acme").await;
    let mut stalled = api.connect().await;
    assert!(stalled.send(head(TEXT, &acme.key, Some(1_000)) + "{").await);
    let reply = stalled.reply().await.unwrap();
    assert!(reply.status == 408 && reply.says_close(), "{reply:?}");
    // However it trickles, without credentials.
    let mut slow = api.connect().await;
    assert!(slow.send(head(LOGIN, "x", Some(10_000)) + "{").await);
    while !slow.closes_within(Duration::from_millis(50)).await {
        slow.send(" ").await;
    }
}

#[tokio::test]
async fn what_is_only_announced_takes_no_memory() {
    let limits = RequestLimits { uploads_bytes: 1, request_bytes: 100_000, ..RequestLimits::default() };
    let api = api(ConnectionLimits::default(), limits).await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("other").await);
    let mut open = Vec::new();
    for key in ["wrong", &acme.key, &other.key] {
        for path in [LOGIN, TEXT] {
            for length in [Some(100_000), None] {
                let mut client = api.connect().await;
                assert!(client.send(head(path, key, length)).await);
                open.push(client);
            }
        }
    }
    let text = "x".repeat(60_000);
    for tenant in [&acme, &other] {
        assert_eq!(tenant.upload_text("a.md", &text).await.status, 202);
    }
}

#[tokio::test]
async fn the_half_uploads_of_one_tenant_are_in_no_other_tenants_way() {
    let limits = RequestLimits {
        uploads_bytes: 600_000,
        request_bytes: 200_000,
        upload_wait: Duration::from_millis(400),
        ..RequestLimits::default()
    };
    let api = api(ConnectionLimits::default(), limits).await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("other").await);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut client = api.connect().await;
        assert!(client.send(head(TEXT, &acme.key, Some(190_000)) + &" ".repeat(150_000)).await);
        open.push(client);
    }
    // One fits into its half, beside which the others find no room in time.
    let mut refused = 0;
    for client in &mut open {
        if client.closes_within(Duration::from_secs(2)).await {
            refused += 1;
        }
    }
    assert_eq!(refused, 3);
    let busy = acme.upload_text("a.md", &"x".repeat(150_000)).await;
    problem(&busy, 503, "busy");
    assert!(busy.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(other.upload_text("a.md", &"x".repeat(100_000)).await.status, 202);
    drop(open);
    let upload = tests::wait::wait_for("the room to be free", async || {
        let reply = acme.upload_text("a.md", &"x".repeat(150_000)).await;
        if reply.status == 503 { Err(reply) } else { Ok(reply) }
    });
    assert_eq!(upload.await.status, 202);
}

/// Head and body in two packets, as many clients send them.
#[tokio::test]
async fn after_a_refusal_the_connection_goes_on_or_is_said_to_end() {
    let limits = RequestLimits { request_bytes: 300_000, ..RequestLimits::default() };
    let api = api(ConnectionLimits::default(), limits).await;
    let acme = api.tenant("acme").await;
    let viewer =
        acme.post("/api-keys", &json!({ "name": "viewer", "role": "VIEWER" })).await.text("/api_key");
    let head_with = |content_type: &str, length| {
        head(TEXT, &acme.key, Some(length)).replace("application/json", content_type)
    };
    let get = |path: &str, length: usize| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
    };
    for length in [2, 60_000, 200_000] {
        for (status, head) in [
            (401, head(TEXT, "wrong", Some(length))),
            (403, head(TEXT, &viewer, Some(length))),
            (404, head("/api/v1/nowhere", &acme.key, Some(length))),
            (404, head("/api/v1/tenants/acme/kbs/nowhere/documents/text", &acme.key, Some(length))),
            (405, head("/healthz", &acme.key, Some(length))),
            (415, head_with("text/plain", length)),
            (415, head_with("text/plain", length).replace("/text HTTP", " HTTP")),
            (200, get("/healthz", length)),
        ] {
            refuse_and_go_on(&api, status, &head, length).await;
        }
    }
    refuse_and_go_on(&api, 413, &head(LOGIN, "", Some(200_000)), 200_000).await;
    refuse_and_go_on(&api, 413, &head(TEXT, &acme.key, Some(2_000_000)), 2_000_000).await;
}

async fn refuse_and_go_on(api: &Api, status: u16, head: &str, length: usize) {
    let mut client = api.connect().await;
    assert!(client.send(head).await, "{head}");
    // The server may have answered, and must still take what was under way.
    assert!(client.send(" ".repeat(length)).await, "{head}");
    let reply = client.reply().await.expect("an answer");
    assert_eq!(reply.status, status, "{head}: {reply:?}");
    if reply.says_close() {
        client.closed().await;
    } else {
        assert!(client.send(GET).await, "{head}");
        assert_eq!(client.reply().await.map(|reply| reply.status), Some(200), "{head}");
    }
    assert!(length > 2 || !reply.says_close(), "the connection ends for {length} bytes: {head}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let api = api(ConnectionLimits::default(), RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    for (status, path) in [(401, TEXT), (413, LOGIN), (404, "/api/v1/nowhere")] {
        let mut client = api.connect().await;
        let head = head(path, "wrong", Some(20_000)).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        assert!(client.send(head).await);
        let reply = client.reply().await.unwrap();
        assert!(reply.status == status && reply.says_close(), "{reply:?}");
    }
    let mut client = api.connect().await;
    let body = json!({ "name": "a.md", "text": "text" }).to_string();
    let head = head(TEXT, &acme.key, Some(body.len()));
    assert!(client.send(head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")).await);
    assert_eq!(client.reply().await.unwrap().status, 100);
    assert!(client.send(body).await);
    assert_eq!(client.reply().await.unwrap().status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_credentials_are_few_and_end() {
    let limits = RequestLimits { body_idle_time: Duration::from_millis(500), ..RequestLimits::default() };
    let api = api(connections(60, 20), limits).await;
    let acme = api.tenant("acme").await;
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let slow = |_| {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        let endless =
            reqwest::Body::wrap_stream(futures::StreamExt::chain(first, futures::stream::pending()));
        send(
            client
                .post(format!("{}{LOGIN}", api.url))
                .header("content-type", "application/json")
                .body(endless),
        )
    };
    let replies = futures::future::join_all((0..30).map(slow)).await;
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!(count(503) + count(408), 30, "{replies:?}");
    assert!(count(503) >= 22, "{} of 30 were refused", count(503));
    everybody_is_served(&api, &acme, 0).await;
    // With credentials the same connection does more at once.
    let lists = (0..30).map(|_| send(client.get(format!("{}/api/v1/kbs", api.url)).bearer_auth(&acme.key)));
    let replies = futures::future::join_all(lists).await;
    assert!(replies.iter().filter(|reply| reply.status == 200).count() >= 8, "{replies:?}");
}

#[tokio::test]
async fn more_connections_than_the_process_may_open_files_stop_the_start() {
    let api = Api::start().await;
    let limits = ConnectionLimits { connections: Some(usize::MAX / 2), ..ConnectionLimits::default() };
    let Err(error) = api_thin::Connections::new(limits, Vec::new()) else { panic!("they fit") };
    assert_eq!(error.setting, "TENANTRY_MAX_CONNECTIONS");
    assert!(error.to_string().contains("LimitNOFILE"), "{error}");
    let config = ApiConfig::new("o".repeat(32).into(), "j".repeat(32).into(), "k".repeat(32).into());
    assert_eq!(config.rules.connections, ConnectionLimits::default());
    let address: SocketAddr = api.url.trim_start_matches("http://").parse().unwrap();
    let mut client = RawClient::connect(address, 1).await;
    assert!(client.send(GET).await);
    assert_eq!(client.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn the_first_page_is_for_people_and_programs() {
    let api = Api::start().await;
    let get = async |accept: &str| send(api.request(Method::GET, "/").header("accept", accept)).await;
    let page = get("text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let json = get("application/json").await;
    assert_eq!((json.text("/name"), json.text("/docs")), ("Tenantry".to_owned(), "/docs".to_owned()));
    let text = get("*/*").await;
    assert!(text.header("content-type").starts_with("text/plain"));
    let shown = String::from_utf8(page.bytes).unwrap();
    for part in ["Tenantry", "Sign in", "/docs", "tenantry dev"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    for reply in [json, text] {
        let shown = String::from_utf8(reply.bytes).unwrap();
        for part in ["Tenantry", "/docs", "/openapi.json", "/readyz", "README.md", "POST /api/v1/tenants"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
}
