//! What a collector gets: one trace from a request through its jobs to the calls of stores, as
//! `docker/monitoring/README.md` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use tests::program::{Program, http_client};
use tests::wait::wait_for;
use tokio::net::TcpListener;

const PAGE: &str = include_str!("../../docker/monitoring/README.md");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that keeps what it gets, and a model whose first answer is that it is away.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<BTreeSet<String>>>,
}

impl Collector {
    async fn start(&self) -> String {
        let (collector, was_asked) = (self.clone(), Arc::<AtomicBool>::default());
        let take = async move |body: Bytes| {
            collector.take(&body);
            ExportTraceServiceResponse::default().encode_to_vec()
        };
        let answer = async move || {
            if !was_asked.swap(true, Ordering::SeqCst) {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            let graph = json!({ "entities": [{ "name": "Ada", "type": "person", "description": "Ada." }],
                "relationships": [] });
            Json(json!({ "choices": [{ "message": { "content": graph.to_string() } }] })).into_response()
        };
        let router =
            axum::Router::new().route("/v1/traces", post(take)).route("/v1/chat/completions", post(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn take(&self, body: &[u8]) {
        for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.iter().find(|attribute| attribute.key == "service.name");
            let Some(Any::StringValue(service)) = service.unwrap().value.clone().unwrap().value else {
                panic!()
            };
            self.services.lock().unwrap().insert(service);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
    }

    /// The spans of our trace.
    fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| hex::encode(&span.trace_id) == TRACE).cloned().collect()
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// The spans of this name, of jobs of this type where they are of jobs.
fn named<'a>(spans: &'a [Span], name: &str, kind: Option<&str>) -> Vec<&'a Span> {
    let is_it = |span: &&Span| span.name == name && attribute(span, "tenantry.job.type").as_deref() == kind;
    let mut found: Vec<_> = spans.iter().filter(is_it).collect();
    found.sort_by_key(|span| span.start_time_unix_nano);
    found
}

fn only<'a>(spans: &'a [Span], name: &str, kind: Option<&str>) -> &'a Span {
    let found = named(spans, name, kind);
    assert_eq!(found.len(), 1, "{name} of {kind:?} among {:?}", names(spans));
    found[0]
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// Uploads a document in our trace and returns the spans of everything that came of it.
async fn traced() -> (Vec<Span>, BTreeSet<String>) {
    let (collector, data) = (Collector::default(), tempfile::tempdir().unwrap());
    let url = collector.start().await;
    let model = format!("{url}/v1");
    let program = Program::dev_with(
        data.path(),
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OPENAI_BASE_URL", model.as_str()),
            ("OPENAI_MODEL", "test"),
        ],
    );
    let client = http_client();
    let request = |method: Method, path: &str, key: &str| {
        client.request(method, format!("{}{path}", program.url)).bearer_auth(key)
    };
    let made = request(Method::POST, "/api/v1/tenants", &program.operator_key);
    let made: Value =
        made.json(&json!({ "id": "acme", "name": "Acme" })).send().await.unwrap().json().await.unwrap();
    let key = made["api_key"].as_str().unwrap_or_else(|| panic!("{made}"));
    wait_for("the tenant to be ready", async || {
        let reply = request(Method::GET, "/api/v1/kbs", key).send().await.unwrap();
        if reply.status() == 200 { Ok(()) } else { Err(reply.status()) }
    })
    .await;
    let part = reqwest::multipart::Part::text("Ada met Charles in London.").file_name("ada.md");
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = request(Method::POST, "/api/v1/kbs/default/documents", key).multipart(form);
    let upload = upload.header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(upload.send().await.unwrap().status(), 202);
    let spans = wait_for("the spans of the last job", async || {
        let spans = collector.spans();
        if named(&spans, "process enrich", Some("graph.build")).is_empty() {
            return Err(format!("{:?}", names(&spans)));
        }
        Ok(spans)
    })
    .await;
    let services = collector.services.lock().unwrap().clone();
    (spans, services)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_request_to_the_last_store_call() {
    let (spans, services) = traced().await;
    assert_eq!(services, BTreeSet::from(["tenantry".to_owned()]));
    let request = only(&spans, "POST /api/v1/kbs/{kb}/documents", None);
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    assert_eq!(attribute(request, "http.response.status_code").as_deref(), Some("202"));

    // From the request to the first job.
    let create = only(&spans, "create documents", Some("document.ingest"));
    let process = only(&spans, "process documents", Some("document.ingest"));
    let wait = only(&spans, "wait documents", None);
    assert_eq!(create.parent_span_id, request.span_id);
    assert_eq!(only(&spans, "send documents", None).parent_span_id, request.span_id);
    assert_eq!((&process.parent_span_id, &wait.parent_span_id), (&create.span_id, &create.span_id));
    assert!(wait.start_time_unix_nano <= wait.end_time_unix_nano);
    assert_eq!(wait.end_time_unix_nano, process.start_time_unix_nano);
    assert_eq!(attribute(process, "tenantry.job.outcome").as_deref(), Some("completed"));
    assert_eq!(attribute(process, "messaging.message.id"), attribute(create, "messaging.message.id"));

    // Its child waits for the model once; the second run is linked with the first.
    let child = only(&spans, "create enrich", Some("entities.extract"));
    assert_eq!(child.parent_span_id, process.span_id);
    let [first, second] = named(&spans, "process enrich", Some("entities.extract"))[..] else {
        panic!("two attempts among {:?}", names(&spans))
    };
    assert_eq!((&first.parent_span_id, &second.parent_span_id), (&child.span_id, &child.span_id));
    assert_eq!(attribute(first, "tenantry.job.outcome").as_deref(), Some("waiting"));
    assert!(first.links.is_empty());
    let linked: Vec<_> = second.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
    assert_eq!(linked, [(&first.trace_id, &first.span_id)]);
    assert!(second.status.as_ref().is_none_or(|status| status.message.is_empty()));
    let chats: Vec<_> = named(&spans, "chat", None).iter().map(|span| &span.parent_span_id).collect();
    assert_eq!(chats, [&first.span_id, &second.span_id]);

    // Stores are called by the request and by each job.
    let calls: Vec<_> = spans.iter().filter(|span| attribute(span, "db.operation.name").is_some()).collect();
    let callers: BTreeSet<_> = calls.iter().map(|call| &call.parent_span_id).collect();
    for caller in [request, process, second, only(&spans, "process enrich", Some("graph.build"))] {
        assert!(callers.contains(&caller.span_id), "{} calls no store", caller.name);
    }
    assert!(calls.iter().any(|call| call.name == "catalog.accept" && call.parent_span_id == request.span_id));

    // Every span is a part of the trace, of one tenant.
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no two spans have one id");
    for span in &spans {
        assert_eq!(attribute(span, "tenant.id").as_deref(), Some("acme"), "{span:?}");
        assert!(span.span_id == request.span_id || ids.contains(&span.parent_span_id), "{span:?}");
    }
    as_described(&spans);
}

/// The attributes of each class of spans: as many as the page lists, and no others.
fn as_described(spans: &[Span]) {
    let (_, section) = PAGE.split_once("\n## Traces\n").unwrap();
    let mut listed: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, kind, _, attributes, ..] = cells[..] else { panic!("{row}") };
        let attributes = attributes.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let class = name.trim_matches('`').split(' ').next().unwrap().to_owned();
        listed.insert(class, (kind.to_owned(), attributes));
    }
    let mut seen: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for span in spans {
        let first = span.name.split(' ').next().unwrap();
        let class = match first {
            _ if attribute(span, "db.operation.name").is_some() => "STORE.OPERATION",
            _ if attribute(span, "http.route").is_some() => "METHOD",
            first => first,
        };
        let kind =
            ["", "internal", "server", "client", "producer", "consumer"][usize::try_from(span.kind).unwrap()];
        let entry = seen.entry(class.to_owned()).or_default();
        kind.clone_into(&mut entry.0);
        entry.1.extend(span.attributes.iter().map(|attribute| attribute.key.clone()));
    }
    assert_eq!(seen, listed);
}
