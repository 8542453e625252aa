//! OpenAPI descriptions of the extractors' inputs and the handlers' answers.

use aide::generate::GenContext;
use aide::openapi::{
    Header, HeaderStyle, Operation, Parameter, ParameterSchemaOrContent, ReferenceOr, RequestBody, Response,
};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use aide::{OperationInput, OperationOutput};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::Value;

use super::document::{content, shape};
use super::schemas::{NAMED, patch_of};
use crate::accept::IdempotencyKey;
use crate::answer::{Answer, Created, Secret, Versioned};
use crate::audit::AuditReason;
use crate::connections::ClientAddress;
use crate::problem::{Problem, ProblemBody};
use crate::request::{
    AskedLane, AuthenticatedCaller, Caller, Files, IfMatch, Json, LastEvent, MergePatch, MetricsReader,
    NamedBatch, OperatorCaller, OptionalJson, Person, Query, Reach, RequiredPermission, SignUpCaller,
    Standing, TenantOperator, UploadJson, WantsEvents,
};
use crate::routes::{Document, EventPage, Events, Exposition, Home, Page, Welcome};

impl<P: RequiredPermission, R: Reach> OperationInput for Caller<P, R> {}
impl OperationInput for TenantOperator {}
impl OperationInput for OperatorCaller {}
impl OperationInput for MetricsReader {}
impl OperationInput for SignUpCaller {}
impl OperationInput for AuthenticatedCaller {}
impl OperationInput for Person {}
impl OperationInput for ClientAddress {}
impl OperationInput for AuditReason {}

impl<P: RequiredPermission, R: Reach> OperationInput for Standing<P, R> {}
impl OperationInput for WantsEvents {}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let mut parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        parameters.iter_mut().for_each(never_null);
        add_parameters(context, operation, parameters);
    }
}

/// What may be left out of a query is not null where it is there.
fn never_null(parameter: &mut Parameter) {
    let Parameter::Query { parameter_data, .. } = parameter else { return };
    let ParameterSchemaOrContent::Schema(schema) = &mut parameter_data.format else { return };
    let schema = &mut schema.json_schema;
    if let Some(types) = schema.get("type").and_then(Value::as_array)
        && let Some(only) = types.iter().find(|kind| *kind != "null").cloned()
    {
        schema.insert("type".to_owned(), only);
    }
    if let Some(Value::Array(mut choices)) = schema.remove("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        let word = if choices.len() == 1 { "allOf" } else { "anyOf" };
        schema.insert(word.to_owned(), choices.into());
    }
}

impl<T: JsonSchema> OperationInput for Json<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        set_body(context, operation, body("application/json", schema, true));
    }
}

impl<T: JsonSchema> OperationInput for UploadJson<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        Json::<T>::operation_input(context, operation);
    }
}

impl<T: JsonSchema> OperationInput for OptionalJson<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        set_body(context, operation, body("application/json", schema, false));
    }
}

impl<T: JsonSchema> OperationInput for MergePatch<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let whole = context.schema.subschema_for::<T>();
        let patch = patch_of(context.resolve_schema(&whole));
        let name = format!("{}Patch", T::schema_name());
        let schema = Schema::new_ref(format!("{NAMED}{name}"));
        context.schema.definitions_mut().insert(name, patch.to_value());
        set_body(context, operation, body("application/json", schema, true));
    }
}

impl OperationInput for Files {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "type": "object",
            "properties": {
                "file": {
                    "description": "The documents. Each part has a file name, which names the document.",
                    "type": "array",
                    "items": { "type": "string", "format": "binary" },
                    "minItems": 1,
                },
            },
            "required": ["file"],
            "additionalProperties": false,
        });
        set_body(context, operation, body("multipart/form-data", schema, true));
    }
}

fn body(media_type: &str, schema: Schema, required: bool) -> RequestBody {
    RequestBody { description: None, content: content(media_type, schema), required, extensions: [].into() }
}

impl OperationInput for IdempotencyKey {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "properties": { "Idempotency-Key": {
            "description": "Names this request: sent again, it is answered again and done once. Kept for a day.",
            "type": "string",
            "pattern": "^[!-~]{1,255}$",
        } } });
        headers(context, operation, schema);
    }
}

impl OperationInput for NamedBatch {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "properties": { "Batch-Id": {
            "description": "Gathers several uploads in one batch: a UUID of version 7 that the caller has made.",
            "type": "string",
            "format": "uuid",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        } } });
        headers(context, operation, schema);
    }
}

impl OperationInput for AskedLane {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "properties": { "Lane": {
            "description": "The lane of the jobs that this starts: `interactive` when a person waits, else `bulk`.",
            "type": "string",
            "enum": ["interactive", "bulk"],
        } } });
        headers(context, operation, schema);
    }
}

impl OperationInput for LastEvent {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "properties": { "Last-Event-ID": {
            "description": "The id of the event that was seen last. Browsers send it when they connect again.",
            "type": "string",
        } } });
        headers(context, operation, schema);
    }
}

impl OperationInput for IfMatch {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "properties": { "If-Match": {
            "description": "The `ETag` that the thing must still have.",
            "type": "string",
        } } });
        headers(context, operation, schema);
    }
}

fn headers(context: &mut GenContext, operation: &mut Operation, schema: Schema) {
    let parameters = parameters_from_schema(context, schema, ParamLocation::Header);
    add_parameters(context, operation, parameters);
}

/// Error answers are described for each route alike; this only makes their body a component.
impl OperationOutput for Problem {
    type Inner = Self;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        context.schema.subschema_for::<ProblemBody<'static>>();
        Vec::new()
    }
}

impl<T: JsonSchema, const STATUS: u16> OperationOutput for Answer<T, STATUS> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let description =
            if STATUS == 202 { "Accepted: the work happens in the background." } else { "Made." };
        let headers = [
            ("location", "Where to look: the job, or what was made."),
            ("idempotent-replayed", "`true` when the same request was answered before."),
        ];
        vec![(Some(STATUS), json::<T>(context, description, &headers))]
    }
}

impl<T: JsonSchema> OperationOutput for Versioned<T> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        vec![(Some(200), json::<T>(context, "It is so.", &[ETAG]))]
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let headers = [ETAG, ("location", "Where it is shown.")];
        vec![(Some(201), json::<T>(context, "Made.", &headers))]
    }
}

impl<A: OperationOutput> OperationOutput for Secret<A> {
    type Inner = A::Inner;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        A::inferred_responses(context, operation)
    }
}

const ETAG: (&str, &str) = ("etag", "Its revision, for `If-Match`.");

fn json<T: JsonSchema>(context: &mut GenContext, description: &str, headers: &[(&str, &str)]) -> Response {
    let text = json_schema!({ "type": "string" });
    let headers = headers.iter().map(|(name, says)| ((*name).to_owned(), header_of(says, text.clone())));
    Response {
        description: description.to_owned(),
        headers: headers.collect(),
        content: content("application/json", context.schema.subschema_for::<T>()),
        ..Response::default()
    }
}

pub(super) fn header_of(description: &str, schema: Schema) -> ReferenceOr<Header> {
    ReferenceOr::Item(Header {
        description: Some(description.to_owned()),
        style: HeaderStyle::Simple,
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(shape(schema)),
        example: None,
        examples: [].into(),
        extensions: [].into(),
    })
}

impl OperationOutput for Document {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let text = json_schema!({ "type": "string" });
        let object = json_schema!({ "type": "object", "additionalProperties": true });
        let schema = json_schema!({
            "type": "object",
            "properties": { "openapi": text, "info": object, "paths": object, "components": object },
            "required": ["openapi", "info", "paths", "components"],
        });
        let response = Response {
            description: "This document.".to_owned(),
            content: content("application/json", schema),
            ..Response::default()
        };
        vec![(Some(200), response)]
    }
}

impl OperationOutput for Events {
    type Inner = EventPage;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let description =
            "A stream for those who accept `text/event-stream`; for others what happened since.";
        let mut response = json::<EventPage>(context, description, &[]);
        response.content.extend(content::<Vec<_>>("text/event-stream", json_schema!({ "type": "string" })));
        vec![(Some(200), response)]
    }
}

impl OperationOutput for Welcome {
    type Inner = Home;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let mut response = json::<Home>(context, "In the form that `Accept` asks for; text otherwise.", &[]);
        for media_type in ["text/html", "text/plain"] {
            response.content.extend(content::<Vec<_>>(media_type, json_schema!({ "type": "string" })));
        }
        vec![(Some(200), response)]
    }
}

impl OperationOutput for Exposition {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let response = Response {
            description: "In Prometheus' text format.".to_owned(),
            content: content("text/plain", json_schema!({ "type": "string" })),
            ..Response::default()
        };
        vec![(Some(200), response)]
    }
}

impl OperationOutput for Page {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        let response = Response {
            description: "A page.".to_owned(),
            content: content("text/html", json_schema!({ "type": "string" })),
            ..Response::default()
        };
        vec![(Some(200), response)]
    }
}
