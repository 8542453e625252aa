use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use worker::compute::{Compute, ComputeLimits, TenantCompute};

use crate::extract::{ExtractError, Extractor, OpenAiExtractor, OpenAiSettings};

fn compute() -> TenantCompute {
    Compute::new(ComputeLimits::default()).of(&"acme".parse().expect("a tenant id"))
}

/// An endpoint that gives prepared replies, one per request, and then none.
struct Endpoint {
    address: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Endpoint {
    async fn start(replies: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/v1/", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            let mut replies = replies.into_iter();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = read_request(&mut stream).await;
                seen.lock().expect("no panic").push(request);
                match replies.next() {
                    Some(reply) => stream.write_all(reply.as_bytes()).await.expect("sent"),
                    None => unanswered.push(stream),
                }
            }
        });
        Self { address, requests }
    }

    fn extractor(&self, timeout: Duration) -> OpenAiExtractor {
        let settings = OpenAiSettings {
            base_url: self.address.clone(),
            api_key: Some(SecretString::from("sk-test")),
            model: "small-1".to_owned(),
            timeout,
        };
        OpenAiExtractor::new(&settings).expect("valid settings")
    }

    async fn extract_error(&self) -> ExtractError {
        self.extractor(Duration::from_secs(30)).extract("Some text.", &compute()).await.expect_err("an error")
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().expect("no panic").clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> (String, Value) {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.expect("readable");
        request.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            return (head.to_lowercase(), body);
        }
    }
}

fn reply(status: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

fn completion(content: &str) -> String {
    reply("200 OK", "", &json!({"choices": [{"message": {"role": "assistant", "content": content}}]}))
}

#[tokio::test]
async fn a_chunk_is_sent_and_the_answer_read() {
    let answer =
        json!({"entities": [{"name": "Nora", "type": "Person", "description": "d"}], "relationships": []});
    let endpoint = Endpoint::start(vec![completion(&answer.to_string())]).await;
    let extraction = endpoint
        .extractor(Duration::from_secs(30))
        .extract("Nora lives.", &compute())
        .await
        .expect("answered");
    assert_eq!(extraction.entities[0].kind, "person");
    let (head, body) = endpoint.requests().remove(0);
    assert!(head.starts_with("post /v1/chat/completions "), "{head}");
    assert!(head.contains("authorization: bearer sk-test"), "{head}");
    assert_eq!(body["model"], "small-1");
    assert_eq!(body["response_format"]["type"], "json_object");
    assert!(body["messages"][1]["content"].as_str().expect("text").contains("Nora lives."));
}

#[tokio::test]
async fn nothing_is_asked_about_an_empty_chunk() {
    let endpoint = Endpoint::start(Vec::new()).await;
    let extraction =
        endpoint.extractor(Duration::from_secs(30)).extract(" \n", &compute()).await.expect("nothing");
    assert!(extraction.entities.is_empty() && endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_server_without_json_mode_is_asked_again_and_remembered() {
    let refusal = json!({"error": {"message": "'response_format' is not supported"}});
    let lines = "entity<|#|>Nora<|#|>person<|#|>d\n<|COMPLETE|>";
    let replies = vec![reply("400 Bad Request", "", &refusal), completion(lines), completion(lines)];
    let endpoint = Endpoint::start(replies).await;
    let extractor = endpoint.extractor(Duration::from_secs(30));
    for _ in 0..2 {
        assert_eq!(extractor.extract("Nora.", &compute()).await.expect("answered").entities.len(), 1);
    }
    let asked: Vec<bool> =
        endpoint.requests().iter().map(|(_, body)| body.get("response_format").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn a_busy_endpoint_says_when_to_come_back() {
    let now = "date: Wed, 21 Oct 2026 07:28:00 GMT\r\n";
    let cases = [
        ("retry-after: 7\r\n", Some(Duration::from_secs(7))),
        ("retry-after: 1.5\r\n", Some(Duration::from_millis(1500))),
        ("retry-after-ms: 250\r\nretry-after: 1\r\n", Some(Duration::from_millis(250))),
        ("retry-after: Wed, 21 Oct 2026 07:29:30 GMT\r\n", Some(Duration::from_secs(90))),
        ("retry-after: Wed, 21 Oct 2026 07:00:00 GMT\r\n", Some(Duration::ZERO)),
        ("retry-after: 999999999\r\n", Some(Duration::from_secs(3600))),
        ("retry-after: -1\r\n", None),
        ("retry-after: soon\r\n", None),
        ("", None),
    ];
    for (header, wait) in cases {
        let busy =
            reply("429 Too Many Requests", &format!("{now}{header}"), &json!({"error": {"code": "slow"}}));
        let error = Endpoint::start(vec![busy]).await.extract_error().await;
        assert!(error.is_transient());
        assert_eq!((error.code(), error.retry_after()), ("rate_limited", wait), "{header}");
    }
}

#[tokio::test]
async fn a_failing_endpoint_is_worth_another_try() {
    for status in ["500 Oops", "502 Bad Gateway", "503 Busy", "408 Timeout"] {
        let error = Endpoint::start(vec![reply(status, "", &json!({}))]).await.extract_error().await;
        assert!(error.is_transient(), "{status}");
        assert_eq!(error.code(), "endpoint_unavailable");
    }
    for broken in ["HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{", "garbage\r\n\r\n"] {
        let endpoint = Endpoint::start(vec![broken.to_owned()]).await;
        let error = endpoint
            .extractor(Duration::from_secs(2))
            .extract("Some text.", &compute())
            .await
            .expect_err("broken");
        assert!(error.is_transient(), "{error:?}");
    }
    let unreadable = Endpoint::start(vec![completion("I cannot do that.")]).await.extract_error().await;
    assert_eq!((unreadable.code(), unreadable.is_transient()), ("answer_unreadable", true));
}

/// Routers in front of models answer 200 and say inside what went wrong.
#[tokio::test]
async fn an_error_inside_a_success_is_what_it_says() {
    let cases = [
        (json!({"code": 429, "message": "overloaded: Some text."}), "rate_limited", true),
        (json!({"code": "502"}), "endpoint_unavailable", true),
        (json!({"code": "rate_limit_exceeded"}), "rate_limited", true),
        (json!({"type": "overloaded_error"}), "endpoint_unavailable", true),
        (json!("The server is overloaded by Some text."), "endpoint_unavailable", true),
        (json!({"code": 401}), "endpoint_refused", false),
        (json!({"code": "content_filter"}), "content_filtered", false),
        (json!({"code": "strange"}), "endpoint_refused", false),
    ];
    for (error, code, passes) in cases {
        for body in [json!({"error": error}), json!({"choices": [{"message": null, "error": error}]})] {
            let found = Endpoint::start(vec![reply("200 OK", "", &body)]).await.extract_error().await;
            assert_eq!((found.code(), found.is_transient()), (code, passes), "{body}");
            assert!(!found.to_string().contains("Some text"), "{found}");
        }
    }
}

#[tokio::test]
async fn a_passage_that_is_refused_says_nothing_of_the_settings() {
    let filtered = |code: &str| json!({"error": {"code": code, "message": "Some text."}});
    let cases = [
        reply("400 Bad Request", "", &filtered("content_filter")),
        reply("400 Bad Request", "", &filtered("data_inspection_failed")),
        reply("200 OK", "", &json!({"choices": [{"message": {}, "finish_reason": "content_filter"}]})),
    ];
    for answer in cases {
        let error = Endpoint::start(vec![answer]).await.extract_error().await;
        assert!(matches!(error, ExtractError::Chunk { code: "content_filtered", .. }), "{error:?}");
        assert!(!error.to_string().contains("OPENAI") && !error.to_string().contains("Some text"), "{error}");
    }
    let refused = json!({"choices": [{"message": {"content": null, "refusal": "I will not."}}]});
    let too_large = json!({"error": {"code": "context_length_exceeded"}});
    for (answer, code) in [
        (reply("200 OK", "", &refused), "model_refused"),
        (reply("400 Bad Request", "", &too_large), "chunk_too_large"),
        (reply("413 Payload Too Large", "", &json!({})), "chunk_too_large"),
    ] {
        let error = Endpoint::start(vec![answer]).await.extract_error().await;
        assert!(matches!(&error, ExtractError::Chunk { code: found, .. } if *found == code), "{error:?}");
    }
}

#[tokio::test]
async fn content_in_parts_is_read_and_no_content_is_asked_for_again() {
    let records = json!({"entities": [{"name": "Nora", "type": "person", "description": "d"}]}).to_string();
    let (start, end) = records.split_at(20);
    let parts = json!([{"type": "text", "text": start}, {"type": "image_url"}, end]);
    let body = json!({"choices": [{"message": {"content": parts}}]});
    let endpoint = Endpoint::start(vec![reply("200 OK", "", &body)]).await;
    let found = endpoint.extractor(Duration::from_secs(30)).extract("Nora.", &compute()).await;
    assert_eq!(found.expect("read").entities[0].name, "Nora");
    for body in [json!({"choices": []}), json!({"choices": [{"message": {"content": null}}]})] {
        let error = Endpoint::start(vec![reply("200 OK", "", &body)]).await.extract_error().await;
        assert_eq!((error.code(), error.is_transient()), ("answer_unreadable", true), "{body}");
    }
}

#[tokio::test]
async fn a_silent_endpoint_times_out() {
    let endpoint = Endpoint::start(Vec::new()).await;
    let error = endpoint
        .extractor(Duration::from_millis(200))
        .extract("Some text.", &compute())
        .await
        .expect_err("silence");
    assert_eq!((error.code(), error.is_transient()), ("endpoint_timeout", true));
}

#[tokio::test]
async fn an_absent_endpoint_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let endpoint = Endpoint { address, requests: Arc::default() };
    assert_eq!(endpoint.extract_error().await.code(), "endpoint_unreachable");
}

#[tokio::test]
async fn a_refusal_names_the_setting_and_quotes_nothing() {
    let message = "key sk-test is bad, text was: Some text.";
    let body = json!({"error": {"message": message, "type": "invalid_request_error"}});
    let cases = [
        ("400 Bad Request", "OPENAI_MODEL"),
        ("401 Unauthorized", "OPENAI_API_KEY"),
        ("403 Forbidden", "OPENAI_API_KEY"),
        ("404 Not Found", "OPENAI_BASE_URL"),
        ("307 Temporary Redirect", "OPENAI_BASE_URL"),
    ];
    for (status, setting) in cases {
        let location = "location: http://127.0.0.1:9/elsewhere\r\n";
        let error = Endpoint::start(vec![reply(status, location, &body)]).await.extract_error().await;
        let message = error.to_string();
        assert!(!error.is_transient(), "{status}");
        assert!(message.contains(setting) && message.contains("invalid_request_error"), "{message}");
        assert!(!message.contains("sk-test") && !message.contains("Some text"), "{message}");
    }
    let page = reply("200 OK", "", &json!("<html>"));
    assert!(Endpoint::start(vec![page]).await.extract_error().await.to_string().contains("OPENAI_BASE_URL"));
}

#[test]
fn impossible_settings_are_named() {
    let valid = OpenAiSettings {
        base_url: "http://localhost:8000/v1".to_owned(),
        api_key: None,
        model: "m".to_owned(),
        timeout: Duration::from_secs(1),
    };
    assert!(OpenAiExtractor::new(&valid).is_ok());
    let refusal = |change: fn(&mut OpenAiSettings)| {
        let mut settings = valid.clone();
        change(&mut settings);
        OpenAiExtractor::new(&settings).expect_err("refused").to_string()
    };
    for base_url in ["", "localhost:8000", "ftp://x", "http://u:secret@host/v1", "http://host/v1?x=1"] {
        let message =
            OpenAiExtractor::new(&OpenAiSettings { base_url: base_url.to_owned(), ..valid.clone() })
                .expect_err("refused")
                .to_string();
        assert!(message.contains("OPENAI_BASE_URL") && !message.contains("secret"), "{message}");
    }
    assert!(refusal(|settings| settings.model = " ".to_owned()).contains("OPENAI_MODEL"));
    assert!(refusal(|settings| settings.timeout = Duration::ZERO).contains("OPENAI_TIMEOUT_S"));
    assert!(
        refusal(|settings| settings.api_key = Some(SecretString::from("a\nb"))).contains("OPENAI_API_KEY")
    );
}
