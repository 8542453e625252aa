//! Traces for an OpenTelemetry collector: the spans of [`SPANS`] as OTLP over HTTP, where `OTEL_EXPORTER_OTLP_ENDPOINT`
//! names one. Which span is which was decided where it began, because the ids travel with requests and jobs.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chrono::DateTime;
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::SPANS;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use tokio::runtime::Handle;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Either of them turns traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// How long the last spans may take to reach the collector.
const LAST: Duration = Duration::from_secs(5);
const TENANT: &str = "tenant.id";

static EXPORTS: OnceLock<Arc<BatchSpanProcessor>> = OnceLock::new();

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.trim().is_empty())
}

/// The layer that exports, if a collector is configured; an error says why it cannot be reached by any means.
pub(super) fn layer<S>() -> Result<Option<Filtered<SpanLayer, FilterFn, S>>, ExporterBuildError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(runtime) = Handle::try_current().ok().filter(|_| ENDPOINTS.into_iter().any(is_set)) else {
        return Ok(None);
    };
    // Fails only when a provider is installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Http { client: reqwest::Client::new(), runtime, is_failing: AtomicBool::default() };
    let exporter = SpanExporter::builder().with_http().with_http_client(http).build()?;
    let mut exports = BatchSpanProcessor::builder(exporter).build();
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = if is_set(SERVICE_NAME) { resource } else { resource.with_service_name("tenantry") };
    exports.set_resource(&resource.build());
    let exports = EXPORTS.get_or_init(|| Arc::new(exports));
    let scope = InstrumentationScope::builder("tenantry").build();
    Ok(Some(SpanLayer { exports: Arc::clone(exports), scope }.with_filter(filter_fn(is_wanted))))
}

/// Our own spans, and those in which the log is told a request's tenant.
fn is_wanted(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && (metadata.target() == SPANS || metadata.fields().field(TENANT).is_some())
}

/// Sends what is left. Blocks, so call it on a thread of its own, while the runtime still runs.
pub(super) fn finish() {
    if let Some(exports) = EXPORTS.get() {
        let _ = exports.shutdown_with_timeout(LAST);
    }
}

/// The client of the exporter, whose thread is none of the runtime's.
#[derive(Debug)]
struct Http {
    client: reqwest::Client,
    runtime: Handle,
    is_failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let sent = sent.await?;
        self.note(match &sent {
            Ok((status, ..)) if status.is_success() => None,
            Ok((status, ..)) => Some(status.to_string()),
            Err(error) => Some(jobs::error::report(error)),
        });
        let (status, headers, body) = sent?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl Http {
    /// Logs the first failure in a row, and its end.
    fn note(&self, failure: Option<String>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_failing => {
                tracing::warn!(error, "the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no traces");
            }
            None if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

/// Makes spans of OpenTelemetry out of those of tracing.
pub(super) struct SpanLayer {
    exports: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

/// A span that has begun.
#[derive(Clone)]
struct Open {
    trace: TraceId,
    span: SpanId,
    parent: SpanId,
    link: Option<SpanId>,
    begun: SystemTime,
    attributes: Vec<KeyValue>,
    /// Spans inside of it that have ended before the tenant was known.
    inside: Vec<Ended>,
}

/// A span that has ended.
#[derive(Clone)]
struct Ended {
    name: &'static str,
    open: Open,
    at: SystemTime,
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| span.metadata().target() == SPANS) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let Fields { trace, own, parent, link, waits_since, mut attributes } = fields;
        let (trace, own, parent) = match (trace.zip(own), ids_around(&span)) {
            (Some((trace, own)), _) => (trace, own, parent.unwrap_or(SpanId::INVALID)),
            (None, Some((trace, around))) => (trace, new_id(), around),
            // Work that no request and no job asked for.
            (None, None) => return,
        };
        attributes.extend(usual_attributes(span.name()));
        let (begun, inside) = (SystemClock.now().into(), Vec::new());
        let open = Open { trace, span: own, parent, link, begun, attributes, inside };
        if let Some(since) = waits_since {
            self.waited(&open, since);
        }
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if span.metadata().target() == SPANS {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                open.attributes.extend(fields.attributes);
            }
            return;
        }
        // The log is told the tenant of a request: so is the trace.
        let tenant = fields.attributes.into_iter().find(|attribute| attribute.key.as_str() == TENANT);
        let around = span.scope().skip(1).find(|span| span.extensions().get::<Open>().is_some());
        if let Some((tenant, around)) = tenant.zip(around)
            && let Some(open) = around.extensions_mut().get_mut::<Open>()
            && tenant_of(open).is_none()
        {
            open.attributes.push(tenant);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let ended = Ended { name: span.name(), open, at: SystemClock.now().into() };
        let around = span.scope().skip(1).find(|span| span.extensions().get::<Open>().is_some());
        let tenant = tenant_of(&ended.open);
        let Some(around) = around.filter(|_| tenant.is_none()) else { return self.export_all(ended, tenant) };
        let mut extensions = around.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        match tenant_of(open) {
            // What is around knows whose it is by now, or when it ends.
            None => open.inside.push(ended),
            tenant => {
                drop(extensions);
                self.export_all(ended, tenant);
            }
        }
    }
}

impl SpanLayer {
    /// The time that a job waited for its first attempt, as a span beside the attempt.
    fn waited(&self, attempt: &Open, since: SystemTime) {
        let kept = |attribute: &&KeyValue| {
            let key = attribute.key.as_str();
            [TENANT, "messaging.message.id", "messaging.destination.name"].contains(&key)
        };
        let attributes =
            attempt.attributes.iter().filter(kept).cloned().chain(usual_attributes("wait")).collect();
        let begun = since.min(attempt.begun);
        let wait = Open { span: new_id(), link: None, begun, attributes, ..attempt.clone() };
        self.export("wait", wait, attempt.begun);
    }

    /// Exports a span, and those inside of it that waited to be told their tenant.
    fn export_all(&self, ended: Ended, tenant: Option<String>) {
        let Ended { name, mut open, at } = ended;
        for inside in std::mem::take(&mut open.inside) {
            self.export_all(inside, tenant.clone());
        }
        if let Some(tenant) = tenant.filter(|_| tenant_of(&open).is_none()) {
            open.attributes.push(KeyValue::new(TENANT, tenant));
        }
        self.export(name, open, at);
    }

    fn export(&self, name: &str, open: Open, end: SystemTime) {
        let flags = TraceFlags::SAMPLED;
        let of_trace = |span| SpanContext::new(open.trace, span, flags, true, TraceState::NONE);
        let mut links = SpanLinks::default();
        links.links.extend(open.link.map(|link| Link::with_context(of_trace(link))));
        let (span_kind, title) = described(name, &open.attributes);
        self.exports.on_end(SpanData {
            span_context: SpanContext::new(open.trace, open.span, flags, false, TraceState::NONE),
            parent_span_id: open.parent,
            parent_span_is_remote: matches!(name, "request" | "process" | "wait"),
            span_kind,
            name: title,
            start_time: open.begun,
            end_time: end.max(open.begun),
            status: status_of(&open.attributes),
            attributes: open.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// Trace and id of the nearest span around this one that is exported.
fn ids_around<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<(TraceId, SpanId)> {
    let ids = |open: &Open| (open.trace, open.span);
    span.scope().skip(1).find_map(|around| around.extensions().get::<Open>().map(ids))
}

fn new_id() -> SpanId {
    SpanId::from_bytes(rand::random::<u64>().max(1).to_be_bytes())
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<Cow<'a, str>> {
    let found = attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.as_str())
}

fn tenant_of(open: &Open) -> Option<String> {
    text(&open.attributes, TENANT).map(Cow::into_owned)
}

/// What spans of one name have in common, in the words of OpenTelemetry's conventions for messaging.
fn usual_attributes(name: &str) -> Vec<KeyValue> {
    let (kind, operation) = match name {
        "create" => ("create", "create"),
        "send" => ("send", "enqueue"),
        "wait" => ("receive", "wait"),
        "process" => ("process", "process"),
        _ => return Vec::new(),
    };
    vec![
        KeyValue::new("messaging.system", "tenantry"),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.operation.name", operation),
    ]
}

/// The kind of a span, and its name: of few values, so that they can be counted by it.
fn described(name: &str, attributes: &[KeyValue]) -> (SpanKind, Cow<'static, str>) {
    let of = |attribute: &str| text(attributes, attribute).unwrap_or_default();
    let (kind, title) = match name {
        "request" => (SpanKind::Server, format!("{} {}", of("http.request.method"), of("http.route"))),
        "create" | "send" => (SpanKind::Producer, format!("{name} {}", of("messaging.destination.name"))),
        "wait" | "process" => (SpanKind::Consumer, format!("{name} {}", of("messaging.destination.name"))),
        _ => (SpanKind::Client, format!("{}{}", of("db.operation.name"), of("gen_ai.operation.name"))),
    };
    (kind, title.into())
}

/// A request that the server failed, or an attempt that did.
fn status_of(attributes: &[KeyValue]) -> Status {
    let outcome = text(attributes, "tenantry.job.outcome").unwrap_or_default();
    if ["retried", "discarded", "quarantined"].contains(&outcome.as_ref()) {
        return Status::error(outcome.into_owned());
    }
    match text(attributes, "http.response.status_code") {
        Some(status) if status.starts_with('5') => Status::error(status.into_owned()),
        _ => Status::Unset,
    }
}

/// What a span's fields say: which span it is, and the rest.
#[derive(Default)]
struct Fields {
    trace: Option<TraceId>,
    own: Option<SpanId>,
    parent: Option<SpanId>,
    link: Option<SpanId>,
    waits_since: Option<SystemTime>,
    attributes: Vec<KeyValue>,
}

/// Our fields under the names of OpenTelemetry's conventions.
const NAMES: [(&str, &str); 9] = [
    ("http.method", "http.request.method"),
    ("http.status", "http.response.status_code"),
    ("job.id", "messaging.message.id"),
    ("job.queue", "messaging.destination.name"),
    ("job.count", "messaging.batch.message_count"),
    ("job.kind", "tenantry.job.type"),
    ("job.attempt", "tenantry.job.attempt"),
    ("job.outcome", "tenantry.job.outcome"),
    ("operation", "db.operation.name"),
];

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let name =
            NAMES.iter().find(|(ours, _)| *ours == field.name()).map_or(field.name(), |(_, name)| *name);
        self.attributes.push(KeyValue::new(name, value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace.id" => self.trace = TraceId::from_hex(value).ok(),
            "trace.span" => self.own = SpanId::from_hex(value).ok(),
            "trace.parent" => self.parent = SpanId::from_hex(value).ok(),
            "trace.link" => self.link = SpanId::from_hex(value).ok(),
            _ => self.add(field, value.to_owned()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "trace.waits_since_us" => {
                self.waits_since = DateTime::from_timestamp_micros(value).map(Into::into);
            }
            _ => self.add(field, value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
