//! What handlers answer.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Header, HeaderStyle, Operation, ParameterSchemaOrContent, ReferenceOr, Response};
use schemars::{JsonSchema, json_schema};

use super::content::{content, shape};

use crate::accept::Answer;
use crate::problem::{Problem, ProblemBody};
use crate::routes::{Created, Document, Home, Page, Secret, Versioned, Welcome};

/// Refusals are described for each route alike. What is done here is that their body becomes a component.
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
    Response {
        description: description.to_owned(),
        headers: headers.iter().map(|(name, says)| ((*name).to_owned(), header_of(says))).collect(),
        content: content("application/json", context.schema.subschema_for::<T>()),
        ..Response::default()
    }
}

fn header_of(description: &str) -> ReferenceOr<Header> {
    ReferenceOr::Item(Header {
        description: Some(description.to_owned()),
        style: HeaderStyle::Simple,
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(shape(json_schema!({ "type": "string" }))),
        example: None,
        examples: [].into(),
        extensions: [].into(),
    })
}

impl OperationOutput for Document {
    type Inner = Self;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        axum::Json::<serde_json::Value>::inferred_responses(context, operation)
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

impl OperationOutput for Page {
    type Inner = Self;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        axum::response::Html::<()>::inferred_responses(context, operation)
    }
}
