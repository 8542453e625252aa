//! The document: what handlers' types say, completed from the table of routes.

use aide::generate::in_context;
use aide::openapi::{
    Components, HeaderStyle, Info, License, MediaType, OpenApi, Operation, Parameter, ParameterData,
    ParameterSchemaOrContent, PathStyle, ReferenceOr, Response, SchemaObject, SecurityScheme, Server,
    StatusCode, Tag,
};
use schemars::generate::Contract;
use schemars::{Schema, json_schema};
use serde_json::Value;

use super::operations::header_of;
use super::schemas::{generator, joined};
use crate::problem::Problem;
use crate::routes::{Access, ROUTES, Route, Scope, documented_routes};

/// The name of the way to send credentials as a bearer token.
pub(super) const BEARER: &str = "bearer";
/// The name of the way to send an API key in a header of its own.
pub(super) const API_KEY: &str = "api_key";

/// The API as [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0).
#[must_use]
pub fn document() -> Value {
    joined(described(Contract::Deserialize), described(Contract::Serialize))
}

/// The API with every schema as it is read, or as it is written.
fn described(contract: Contract) -> Value {
    in_context(|context| context.schema = generator(contract));
    let mut api = OpenApi {
        info: info(),
        servers: vec![server()],
        tags: tags().into_iter().map(tag).collect(),
        ..OpenApi::default()
    };
    // Only the description is used: these routes have no state to serve requests with.
    let _ = documented_routes().finish_api(&mut api);
    let components = api.components.get_or_insert_with(Components::default);
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(bearer()));
    components.security_schemes.insert(API_KEY.to_owned(), ReferenceOr::Item(api_key()));
    components.responses.extend(refusals());
    describe(&mut api);
    serde_json::to_value(api).expect("a description is made of texts and numbers")
}

/// Relative to where the document is read.
fn server() -> Server {
    let description = Some("The installation that answers with this description.".to_owned());
    Server { url: "/".to_owned(), description, ..Server::default() }
}

fn info() -> Info {
    Info {
        title: "Tenantry".to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        license: Some(License {
            name: "Apache-2.0".to_owned(),
            identifier: Some("Apache-2.0".to_owned()),
            ..License::default()
        }),
        ..Info::default()
    }
}

const DESCRIPTION: &str = "Background jobs for products that serve many customers (tenants) from one knowledge-base \
    system.\n\nA request that causes work is answered 202 with a `Location`: the job's. Whatever is about one tenant \
    is found under `/api/v1/tenants/{tenant}`, and also directly under `/api/v1`, where the `X-Tenant-ID` header, \
    the subdomain or the credentials say which tenant is meant. Every refusal is `application/problem+json` \
    (RFC 9457) with a stable `code`.";

/// Ends the name of a group whose tenant is not in the path.
const NAMED_ELSEWHERE: &str = ", of the caller's tenant";

/// What is said of each group of operations.
const GROUPS: &[(&str, &str)] = &[
    ("home", "What answers here, and where to go on."),
    ("health", "Whether the process lives and can do its work, and its metrics."),
    ("docs", "This description."),
    ("plans", "What tenants may use, by plan."),
    ("tenants", "Tenants: make, find, show and close them."),
    ("settings", "A tenant's name, plan, limits and status."),
    ("skills", "Types of jobs, and whether workers run them."),
    ("workers", "The worker processes, and whether they claim jobs."),
    ("auth", "Log-ins, their tokens, and who a caller is."),
    ("invitations", "Invitations of persons to a tenant."),
    ("sign up", "A person makes a tenant."),
    ("usage", "How much of its quotas a tenant uses."),
    ("activity", "What workers did in the last hour."),
    ("rag settings", "How documents are read and questions answered."),
    ("audit", "What was done to steer or administer a tenant."),
    ("jobs", "Jobs: where they are and what they wait for."),
    ("cancel", "Cancels jobs."),
    ("flow", "Pauses, resumes and drains jobs."),
    ("reschedule", "Gives waiting jobs another time."),
    ("dead letters", "Jobs that will not run by themselves: look, start again, throw away."),
    ("events", "What happens, as a stream of server-sent events or as a list."),
    ("batches", "What one request, or one folder, brought in."),
    ("members", "The persons of a tenant, and their roles."),
    ("api keys", "The API keys of a tenant."),
    ("webhooks", "Endpoints that are told what happens."),
    ("webhook deliveries", "What became of the events of an endpoint."),
    ("kbs", "Knowledge bases."),
    ("documents", "Documents: upload, follow, read again and remove them."),
    ("chunks", "The pieces of a document, and what was extracted from each."),
    ("graph", "Entities and relations of a knowledge base."),
    ("reindex", "Reads every document of a knowledge base again."),
    ("schedules", "Jobs that are enqueued by the calendar."),
];

fn tag(name: String) -> Tag {
    let group = name.strip_suffix(NAMED_ELSEWHERE);
    let says = GROUPS.iter().find(|(known, _)| *known == group.unwrap_or(&name)).map(|(_, says)| *says);
    let description = says.map(|says| match group {
        Some(_) => {
            format!("{says} The header `X-Tenant-ID`, the subdomain or the credentials name the tenant.")
        }
        None => says.to_owned(),
    });
    Tag { name, description, ..Tag::default() }
}

fn bearer() -> SecurityScheme {
    SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some("An API key, or an access token of a log-in or of an issuer of yours.".to_owned()),
        extensions: [].into(),
    }
}

fn api_key() -> SecurityScheme {
    SecurityScheme::ApiKey {
        location: aide::openapi::ApiKeyLocation::Header,
        name: "X-API-Key".to_owned(),
        description: Some("An API key, for those who cannot send `Authorization`.".to_owned()),
        extensions: [].into(),
    }
}

/// Adds to each operation the entries of the table of routes.
pub(super) fn describe(api: &mut OpenApi) {
    for route in ROUTES {
        for place in route.places() {
            if let Some(operation) = operation(api, &place, route.method) {
                complete(operation, route, &place);
            }
        }
    }
}

fn operation<'a>(api: &'a mut OpenApi, path: &str, method: &str) -> Option<&'a mut Operation> {
    let ReferenceOr::Item(item) = api.paths.as_mut()?.paths.get_mut(path)? else { return None };
    match method {
        "get" => item.get.as_mut(),
        "put" => item.put.as_mut(),
        "post" => item.post.as_mut(),
        "patch" => item.patch.as_mut(),
        "delete" => item.delete.as_mut(),
        _ => None,
    }
}

fn complete(operation: &mut Operation, route: &Route, place: &str) {
    let named_elsewhere = route.scope == Scope::Tenant && !place.contains("{tenant}");
    let id = route.operation_id();
    operation.operation_id = Some(if named_elsewhere { format!("own_{id}") } else { id });
    operation.summary = Some(route.summary.to_owned());
    operation.description = who(route.access);
    operation.tags = vec![tag_of(route, named_elsewhere)];
    operation.parameters.splice(0..0, missing_parameters(operation, place));
    if named_elsewhere {
        operation.parameters.push(tenant_header());
    }
    if route.takes_kb_from_header() {
        operation.parameters.push(kb_header());
    }
    if route.audit.is_logged() {
        operation.parameters.push(reason_header());
    }
    operation.security = match route.access {
        Access::Everybody => Vec::new(),
        _ => [BEARER, API_KEY].map(|name| [(name.to_owned(), Vec::new())].into_iter().collect()).to_vec(),
    };
    let responses = operation.responses.get_or_insert_default();
    responses.default = None;
    responses.responses.extend(refusals_of(route));
}

/// The access rule of a route, in words.
fn who(access: Access) -> Option<String> {
    match access {
        Access::Everybody => None,
        Access::Credentials => Some("Callers with valid credentials.".to_owned()),
        Access::Operator => Some("The operator.".to_owned()),
        Access::Members(None) => Some("Members of the tenant, and the operator.".to_owned()),
        Access::Members(Some(permission)) => Some(format!("Needs the permission `{permission}`.")),
        Access::MembersAndOperator(permission) => {
            Some(format!("Needs the permission `{permission}`, or the operator's key."))
        }
    }
}

fn tag_of(route: &Route, named_elsewhere: bool) -> String {
    let module = route.operation.split("::").next().unwrap_or_default().replace('_', " ");
    if named_elsewhere { format!("{module}{NAMED_ELSEWHERE}") } else { module }
}

/// The groups of operations, in the order of the table; groups with the tenant in the path first.
pub(super) fn tags() -> Vec<String> {
    let mut tags = Vec::new();
    for named_elsewhere in [false, true] {
        let routes = ROUTES.iter().filter(|route| !named_elsewhere || route.scope == Scope::Tenant);
        for tag in routes.map(|route| tag_of(route, named_elsewhere)) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

/// The path parameters that a handler does not read itself, because the authorizing extractors do.
fn missing_parameters(operation: &Operation, place: &str) -> Vec<ReferenceOr<Parameter>> {
    let known = |name: &str| {
        let data = |parameter: &ReferenceOr<Parameter>| {
            parameter.as_item().is_some_and(|parameter| parameter.parameter_data_ref().name == name)
        };
        operation.parameters.iter().any(data)
    };
    let names = place.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.filter(|name| !known(name)).map(path_parameter).collect()
}

fn path_parameter(name: &str) -> ReferenceOr<Parameter> {
    let schema = match name {
        "tenant" => json_schema!({ "$ref": "#/components/schemas/TenantId" }),
        "kb" => json_schema!({ "$ref": "#/components/schemas/KbId" }),
        _ => json_schema!({ "type": "string" }),
    };
    let parameter_data = parameter(name, true, None, schema);
    ReferenceOr::Item(Parameter::Path { parameter_data, style: PathStyle::default() })
}

fn tenant_header() -> ReferenceOr<Parameter> {
    let description = "Which tenant is meant, where the credentials do not say so. They must not contradict.";
    let schema = json_schema!({ "$ref": "#/components/schemas/TenantId" });
    let parameter_data = parameter("X-Tenant-ID", false, Some(description), schema);
    ReferenceOr::Item(Parameter::Header { parameter_data, style: HeaderStyle::default() })
}

fn kb_header() -> ReferenceOr<Parameter> {
    let schema = json_schema!({ "$ref": "#/components/schemas/KbId" });
    let parameter_data = parameter("X-KB-ID", true, Some("Which knowledge base is meant."), schema);
    ReferenceOr::Item(Parameter::Header { parameter_data, style: HeaderStyle::default() })
}

fn reason_header() -> ReferenceOr<Parameter> {
    let description =
        "Why this is done, for the audit log: at most 300 characters, in percent-encoded UTF-8.";
    let schema = json_schema!({ "type": "string", "pattern": "^[ -~]*$" });
    let parameter_data = parameter("Audit-Reason", false, Some(description), schema);
    ReferenceOr::Item(Parameter::Header { parameter_data, style: HeaderStyle::default() })
}

fn parameter(name: &str, required: bool, description: Option<&str>, schema: Schema) -> ParameterData {
    ParameterData {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        required,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(shape(schema)),
        example: None,
        examples: [].into(),
        explode: None,
        extensions: [].into(),
    }
}

/// Why a request is refused, by status.
const REFUSALS: &[(u16, &str, &str)] = &[
    (400, "BadRequest", "Something in the request cannot be used: `field` says what."),
    (401, "Unauthorized", "There are no credentials, or they are not good."),
    (403, "Forbidden", "The credentials are good, and do not allow this."),
    (404, "NotFound", "It does not exist, or the credentials do not reach it."),
    (408, "RequestTimeout", "The request took too long."),
    (409, "Conflict", "It contradicts what there is."),
    (412, "PreconditionFailed", "It was changed since: it is not as `If-Match` says."),
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

/// The error answers as components.
pub(super) fn refusals() -> impl Iterator<Item = (String, ReferenceOr<Response>)> {
    REFUSALS.iter().map(|(status, name, description)| {
        ((*name).to_owned(), ReferenceOr::Item(problem_response(*status, description)))
    })
}

fn problem_response(status: u16, description: &str) -> Response {
    let text = json_schema!({ "type": "string" });
    let seconds = json_schema!({ "type": "integer", "minimum": 0 });
    let header = match status {
        401 => Some(("www-authenticate", "How to send credentials.", text)),
        429 | 503 => {
            Some(("retry-after", "After how many seconds to try again, when waiting helps.", seconds))
        }
        _ => None,
    };
    let headers = header.map(|(name, says, schema)| (name.to_owned(), header_of(says, schema)));
    Response {
        description: description.to_owned(),
        headers: headers.into_iter().collect(),
        content: content(Problem::MEDIA_TYPE, json_schema!({ "$ref": "#/components/schemas/Problem" })),
        ..Response::default()
    }
}

/// The error answers of a route.
pub(super) fn refusals_of(route: &Route) -> impl Iterator<Item = (StatusCode, ReferenceOr<Response>)> {
    let writes = route.method != "get";
    let asks_who = route.access != Access::Everybody;
    let about_one = route.path.contains('{')
        || matches!(route.access, Access::Members(_) | Access::MembersAndOperator(_));
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

/// A schema where the description wants one.
pub(super) fn shape(json_schema: Schema) -> SchemaObject {
    SchemaObject { json_schema, external_docs: None, example: None }
}

/// What a body of one media type is. Fits wherever the description wants a map.
pub(super) fn content<Map: FromIterator<(String, MediaType)>>(media_type: &str, schema: Schema) -> Map {
    let described = MediaType { schema: Some(shape(schema)), ..MediaType::default() };
    [(media_type.to_owned(), described)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::{ROUTES, Scope};

    /// Every operation with its path and its method.
    fn operations() -> Vec<(String, String, Value)> {
        let api = document();
        let paths = api["paths"].as_object().unwrap().iter();
        let methods = paths.flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| (path.clone(), method.clone(), operation.clone()))
        });
        methods.collect()
    }

    #[test]
    fn every_route_is_described_in_each_of_its_places() {
        let mut expected = BTreeSet::new();
        for route in ROUTES {
            expected.extend(route.places().into_iter().map(|place| (route.method.to_owned(), place)));
        }
        let described: BTreeSet<_> =
            operations().into_iter().map(|(path, method, _)| (method, path)).collect();
        assert_eq!(described, expected);
        assert!(ROUTES.iter().any(|route| route.scope == Scope::Tenant), "the table is empty");
    }

    #[test]
    fn every_operation_says_what_it_is_and_what_it_answers() {
        for (path, method, operation) in operations() {
            let at = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{at}");
            let responses =
                operation["responses"].as_object().unwrap_or_else(|| panic!("{at} answers nothing"));
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{at}: no good answer is described"
            );
        }
    }

    #[test]
    fn every_group_says_what_it_is_about() {
        let silent: Vec<_> = tags().into_iter().map(tag).filter(|tag| tag.description.is_none()).collect();
        assert!(silent.is_empty(), "GROUPS does not name these: {silent:?}");
    }

    #[test]
    fn what_may_be_left_out_of_a_query_is_never_null() {
        let json = document();
        let parameters = &json["paths"]["/api/v1/tenants/{tenant}/kbs/{kb}/documents"]["get"]["parameters"];
        let schema = |name: &str| {
            let parameter = parameters.as_array().unwrap().iter().find(|parameter| parameter["name"] == name);
            parameter.unwrap()["schema"].clone()
        };
        assert_eq!(schema("limit")["type"], "integer");
        assert_eq!(schema("status")["allOf"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_refers_to_something_finds_it() {
        let json = document();
        let text = json.to_string();
        let mut found = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(json.pointer(pointer).is_some(), "nothing is at {pointer}");
            found += 1;
        }
        assert!(found > 100, "only {found} references");
    }
}
