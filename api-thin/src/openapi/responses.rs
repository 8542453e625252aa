use aide::openapi::{ReferenceOr, Response, StatusCode};
use schemars::json_schema;

use super::content::content;
use crate::problem::Problem;
use crate::routes::{Access, Route};

/// Why a request is refused, by status.
const REFUSALS: &[(u16, &str, &str)] = &[
    (400, "BadRequest", "Something in the request cannot be used: `field` says what."),
    (401, "Unauthorized", "There are no credentials, or they are not good."),
    (403, "Forbidden", "The credentials are good, and do not allow this."),
    (404, "NotFound", "It does not exist, or the credentials do not reach it."),
    (408, "RequestTimeout", "The request took too long."),
    (409, "Conflict", "It contradicts what there is."),
    (412, "PreconditionFailed", "Somebody changed it since: it is not as `If-Match` says."),
    (413, "ContentTooLarge", "The body is too large."),
    (415, "UnsupportedMediaType", "The body is of a type that cannot be read."),
    (422, "UnprocessableContent", "The `Idempotency-Key` stands for another request."),
    (429, "TooManyRequests", "A limit is reached: `limit` says which, `Retry-After` when waiting helps."),
    (
        503,
        "ServiceUnavailable",
        "A server that we need does not answer. Nothing was done, or it is safe to repeat.",
    ),
];

/// The refusals as components.
pub(super) fn refusals() -> impl Iterator<Item = (String, ReferenceOr<Response>)> {
    REFUSALS
        .iter()
        .map(|(_, name, description)| ((*name).to_owned(), ReferenceOr::Item(refusal(description))))
}

fn refusal(description: &str) -> Response {
    Response {
        description: description.to_owned(),
        content: content(Problem::MEDIA_TYPE, json_schema!({ "$ref": "#/components/schemas/Problem" })),
        ..Response::default()
    }
}

/// The refusals that a route may answer with.
pub(super) fn refusals_of(route: &Route) -> impl Iterator<Item = (StatusCode, ReferenceOr<Response>)> {
    let writes = route.method != "get";
    let asks_who = route.access != Access::Everybody;
    let about_one = route.path.contains('{') || matches!(route.access, Access::Members(_));
    let answers = move |status: u16| match status {
        400 | 401 | 403 | 429 => asks_who || writes,
        404 | 409 => about_one || writes,
        412 | 413 | 415 | 422 => writes,
        _ => true,
    };
    REFUSALS.iter().filter(move |(status, ..)| answers(*status)).map(|(status, name, _)| {
        let reference = format!("#/components/responses/{name}");
        (StatusCode::Code(*status), ReferenceOr::Reference { reference, summary: None, description: None })
    })
}
