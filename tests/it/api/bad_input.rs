use api_thin::RequestLimits;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Reply, Written, problem, send};

const TEXT: &str = "/kbs/default/documents/text";
const FILES: &str = "/kbs/default/documents";
const BATCH: &str = "/kbs/default/documents/batch";

/// An API whose documents have at most 1,000 bytes and whose requests have at most 4,000.
async fn small() -> (Api, ApiTenant) {
    let limits = RequestLimits { document_bytes: 1_000, request_bytes: 4_000, ..RequestLimits::default() };
    let api = Api::with(ApiOptions { limits, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    (api, acme)
}

/// Sends a request that must be refused and checks that it left nothing behind.
async fn refused(api: &Api, acme: &ApiTenant, request: RequestBuilder, status: u16, code: &str) -> Reply {
    let before = Written::of(api, acme).await;
    let reply = send(request).await;
    problem(&reply, status, code);
    assert_eq!(Written::of(api, acme).await, before, "{code}: something was written");
    reply
}

fn json_body(acme: &ApiTenant, path: &str, body: &'static [u8]) -> RequestBuilder {
    acme.request(Method::POST, path).header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    let (api, acme) = small().await;
    for (body, code) in [
        (&b""[..], "malformed_json"),
        (b"{", "malformed_json"),
        (b"{\"name\": \"a.md\", \"text\": \"x\"}}", "malformed_json"),
        (b"{\"name\": \"a.md\", \"text\": \"x\", \"txet\": \"y\"}", "unknown_field"),
        (b"{\"name\": \"a.md\"}", "invalid_field"),
        (b"{\"name\": \"a.md\", \"text\": 1}", "invalid_field"),
        (b"[]", "invalid_field"),
        (b"{\"name\": \"a.md\", \"text\": \"caf\xe9\"}", "not_utf8"),
    ] {
        refused(&api, &acme, json_body(&acme, TEXT, body), 400, code).await;
    }
    let reply = refused(&api, &acme, json_body(&acme, TEXT, b"{\"txet\": 1}"), 400, "unknown_field").await;
    assert_eq!(reply.body()["field"], "txet");
    let no_type = acme.request(Method::POST, TEXT).body("{}");
    refused(&api, &acme, no_type, 415, "unsupported_content_type").await;
    refused(&api, &acme, json_body(&acme, FILES, b"{}"), 415, "unsupported_content_type").await;
    let reindex = acme.request(Method::POST, "/kbs/default/reindex").json(&json!({ "all": true }));
    refused(&api, &acme, reindex, 400, "unknown_field").await;
}

#[tokio::test]
async fn names_that_play_tricks() {
    let (api, acme) = small().await;
    for name in
        ["", "/etc/passwd", "../../etc/passwd", "a/../b.md", "..\\b.md", "C:/b.md", "a\nb.md", "a\u{0}b.md"]
    {
        let text = acme.request(Method::POST, TEXT).json(&json!({ "name": name, "text": "x" }));
        let reply = refused(&api, &acme, text, 400, "invalid_document_name").await;
        assert_eq!(reply.body()["field"], "document.name", "{name:?}");
    }
    for name in ["../../etc/passwd.txt", "/etc/passwd.txt"] {
        let form = Form::new().part("file", Part::bytes(&b"x"[..]).file_name(name));
        let file = acme.request(Method::POST, FILES).multipart(form);
        refused(&api, &acme, file, 400, "invalid_document_name").await;
    }
    let long = "n".repeat(513);
    let text = acme.request(Method::POST, TEXT).json(&json!({ "name": long, "text": "x" }));
    refused(&api, &acme, text, 400, "invalid_document_name").await;
}

#[tokio::test]
async fn documents_that_are_empty_too_large_or_no_text() {
    let (api, acme) = small().await;
    let file = |name: &'static str, bytes: &'static [u8]| {
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name));
        acme.request(Method::POST, FILES).multipart(form)
    };
    refused(&api, &acme, file("a.md", b""), 400, "empty_document").await;
    refused(&api, &acme, file("a.md", b" \n\t"), 400, "empty_document").await;
    refused(&api, &acme, file("a.md", &[b'x'; 1_001]), 413, "document_too_large").await;
    refused(&api, &acme, file("a.md", &[b'x'; 8_000]), 413, "request_too_large").await;
    refused(&api, &acme, file("a.md", b"caf\xe9"), 400, "not_utf8").await;
    refused(&api, &acme, file("a.pdf", b"%PDF-1.7"), 415, "unsupported_media_type").await;
    let text = acme.request(Method::POST, TEXT).json(&json!({ "name": "a.md", "text": "x".repeat(1_001) }));
    refused(&api, &acme, text, 413, "document_too_large").await;
    let text = acme.request(Method::POST, TEXT).json(&json!({ "name": "a.md", "text": "x".repeat(4_001) }));
    refused(&api, &acme, text, 413, "request_too_large").await;
    let typed = json!({ "name": "a.md", "text": "x", "media_type": "application/pdf" });
    refused(&api, &acme, acme.request(Method::POST, TEXT).json(&typed), 415, "unsupported_media_type").await;
    let exact = acme.upload_files(&[("a.md", &[b'x'; 1_000])]).await;
    assert_eq!(exact.status, 202, "{exact:?}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_at_the_limit() {
    let (api, acme) = small().await;
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(1_000)));
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let endless = acme.request(Method::POST, TEXT).header("content-type", "application/json").body(stream);
    refused(&api, &acme, endless, 413, "request_too_large").await;
}

#[tokio::test]
async fn several_documents_are_taken_together_or_not_at_all() {
    let (api, acme) = small().await;
    let batch = |documents: Value| acme.request(Method::POST, BATCH).json(&json!({ "documents": documents }));
    let good = json!({ "name": "good.md", "text": "good" });
    refused(&api, &acme, batch(json!([])), 400, "no_documents").await;
    let reply =
        refused(&api, &acme, batch(json!([good, { "name": "b.md", "text": "" }])), 400, "empty_document")
            .await;
    assert_eq!(reply.body()["field"], "documents[1]");
    let twice = batch(json!([good, { "name": "./good.md", "text": "x" }]));
    refused(&api, &acme, twice, 400, "invalid_document_name").await;
    refused(&api, &acme, batch(json!([good, good])), 400, "duplicate_document").await;
    let many: Vec<Value> = (0..101).map(|at| json!({ "name": format!("{at}"), "text": "x" })).collect();
    refused(&api, &acme, batch(many.into()), 400, "too_many_documents").await;
    let form = Form::new()
        .part("file", Part::bytes(&b"good"[..]).file_name("good.md"))
        .part("file", Part::bytes(&b"\xff"[..]).file_name("bad.md"));
    let files = acme.request(Method::POST, FILES).multipart(form);
    let reply = refused(&api, &acme, files, 400, "not_utf8").await;
    assert_eq!(reply.body()["field"], "file[1]");
}

#[tokio::test]
async fn multipart_that_is_not() {
    let (api, acme) = small().await;
    let raw = |boundary: &str, body: &'static str| {
        let media_type = format!("multipart/form-data; boundary={boundary}");
        acme.request(Method::POST, FILES).header("content-type", media_type).body(body)
    };
    let cut = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\nhalf of";
    refused(&api, &acme, raw("b", cut), 400, "malformed_multipart").await;
    refused(&api, &acme, raw("b", "--b--\r\n"), 400, "no_documents").await;
    let other = acme.request(Method::POST, FILES).multipart(Form::new().text("title", "x"));
    refused(&api, &acme, other, 400, "unknown_field").await;
    let nameless = acme.request(Method::POST, FILES).multipart(Form::new().text("file", "x"));
    refused(&api, &acme, nameless, 400, "invalid_document_name").await;
}

#[tokio::test]
async fn pages_and_routes_that_do_not_exist() {
    let (api, acme) = small().await;
    for query in ["limit=0", "limit=1001", "limit=x", "status=lost", "after=doc-x", "colour=red"] {
        let list = acme.request(Method::GET, &format!("{FILES}?{query}"));
        refused(&api, &acme, list, 400, "invalid_query").await;
    }
    refused(&api, &acme, acme.request(Method::GET, "/kbs/default/colours"), 404, "unknown_route").await;
    let reply = refused(&api, &acme, acme.request(Method::PATCH, FILES), 405, "method_not_allowed").await;
    assert_eq!(reply.header("allow"), "GET,HEAD,POST");
}

/// One sentence with the value that was sent, the expected one, and the field.
#[tokio::test]
async fn what_cannot_be_used_is_named_with_its_place() {
    let (api, acme) = small().await;
    let batch: &[u8] = br#"{"documents": [{"name": "a.md", "text": "x"}, {"name": "b.md", "text": 5}]}"#;
    let typed = |path, media_type: &str, body: &'static [u8]| {
        acme.request(Method::POST, path).header("content-type", media_type).body(body)
    };
    let packed = json_body(&acme, TEXT, b"\x1f\x8b\x08").header("content-encoding", "gzip");
    let list = |query: &str| acme.request(Method::GET, &format!("{FILES}?{query}"));
    let part = |disposition: &'static str, media_type: &'static str| {
        let body =
            format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n{media_type}\r\nx\r\n--b--\r\n");
        acme.request(Method::POST, FILES).header("content-type", "multipart/form-data; boundary=b").body(body)
    };
    for (request, status, code, field, said) in [
        (list("limit=abc"), 400, "invalid_query", "limit", "expected 1 to 1000, not `abc`"),
        (list("limit=0"), 400, "invalid_query", "limit", "expected 1 to 1000, not `0`"),
        (list("pages=2"), 400, "invalid_query", "pages", "`pages` is not known"),
        (list("page=2&limit=3"), 400, "invalid_query", "page", "not both"),
        (
            json_body(&acme, BATCH, batch),
            400,
            "invalid_field",
            "documents[1].text",
            "expected a string, not 5",
        ),
        (json_body(&acme, TEXT, b"null"), 400, "invalid_field", "", "expected an object, not null"),
        (json_body(&acme, TEXT, b"{}"), 400, "invalid_field", "text", "`text` is missing"),
        (json_body(&acme, TEXT, b""), 400, "malformed_json", "", "the body is empty"),
        (packed, 415, "unsupported_content_type", "Content-Encoding", "Content-Encoding: gzip"),
        (typed(TEXT, "text/csv", b"a,b"), 415, "unsupported_content_type", "Content-Type", "text/csv"),
        (
            typed(FILES, "application/json", b"{}"),
            415,
            "unsupported_content_type",
            "Content-Type",
            "application/json",
        ),
        (
            part("name=\"file\"; filename=\"a.md\"; filename=\"b.md\"", ""),
            400,
            "invalid_document_name",
            "file[0].name",
            "twice",
        ),
        (
            part("name=\"file\"; filename=\"x.md\"", "Content-Type: application/x-notes\r\n"),
            415,
            "unsupported_media_type",
            "file[0].media_type",
            "`application/x-notes` cannot be read: leave the type out",
        ),
    ] {
        let reply = refused(&api, &acme, request, status, code).await;
        let body = reply.body();
        assert_eq!(body["field"].as_str().unwrap_or_default(), field, "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{said}: {body}");
    }
    let marked = json_body(&acme, TEXT, b"\xef\xbb\xbf{\"name\": \"a.md\", \"text\": \"x\"}");
    assert_eq!(send(marked).await.status, 202, "a byte order mark says nothing");
}

/// A file name in Latin-1 is not UTF-8, and says so.
#[tokio::test]
async fn file_names_in_another_encoding_are_named() {
    let (api, acme) = small().await;
    let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"B\xfccher.txt\"\r\n\r\nx\r\n--b--\r\n";
    let request = acme.request(Method::POST, FILES).header("content-type", "multipart/form-data; boundary=b");
    let reply = refused(&api, &acme, request.body(&body[..]), 400, "invalid_document_name").await;
    assert!(reply.text("/detail").contains("is not UTF-8: send filename in UTF-8"), "{reply:?}");
}
