//! The API describes itself, in a form that programs make clients of. That every route is described is tested where the
//! description is made.

use std::collections::BTreeSet;

use api_thin::ROUTES;
use api_thin::routes::Access;
use serde_json::{Map, Value};
use tests::api::Api;

/// Method, path and id of every operation whose tenant is in the path.
const PUBLISHED: &str = include_str!("operation_ids.txt");

async fn description() -> Value {
    let reply = Api::start().await.get("/openapi.json").await;
    assert_eq!(reply.status, 200);
    reply.body()
}

/// Every operation: what it is, for messages, and what is said of it.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    let methods =
        paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(m, o)| (path, m, o)));
    methods.map(|(path, method, operation)| (format!("{method} {path}"), operation)).collect()
}

/// What stands at `value`, or where it refers to.
fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let pointer = reference.strip_prefix('#').expect("a reference stays in the document");
    description.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {reference}"))
}

#[tokio::test]
async fn the_description_is_open_to_everybody() {
    let api = Api::start().await;
    let reply = api.get("/openapi.json").await;
    assert_eq!((reply.status, &reply.body()["openapi"]), (200, &"3.1.0".into()));
    let upload = &reply.body()["paths"]["/api/v1/tenants/{tenant}/kbs/{kb}/documents"]["post"];
    assert_eq!(upload["operationId"], "documents_upload_files");
    let problem = upload["responses"]["429"]["$ref"].as_str().unwrap();
    assert_eq!(problem, "#/components/responses/TooManyRequests");
    assert_eq!(reply.body()["servers"][0]["url"], "/");
}

/// A client is generated from ids: one that changes, or goes, breaks every program that was written with it.
#[tokio::test]
async fn operation_ids_are_unique_and_stay() {
    let description = description().await;
    let (mut ids, mut lines) = (BTreeSet::new(), BTreeSet::new());
    for (at, operation) in operations(&description) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no id"));
        let plain = id.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        assert!(
            plain && ids.insert(id.to_owned()),
            "{at}: {id} is another's id, or no name in every language"
        );
        if !id.starts_with("own_") {
            lines.insert(format!("{at} {id}"));
        }
    }
    let published: BTreeSet<_> = PUBLISHED.lines().map(str::to_owned).collect();
    let gone: Vec<_> = published.difference(&lines).collect();
    assert!(gone.is_empty(), "these operations have another id, or are gone: {gone:#?}");
    let new: Vec<_> = lines.difference(&published).map(String::as_str).collect();
    assert!(new.is_empty(), "add to tests/it/api/operation_ids.txt:\n{}", new.join("\n"));
}

#[tokio::test]
async fn every_operation_says_which_credentials_it_needs() {
    let description = description().await;
    let schemes = description["components"]["securitySchemes"].as_object().unwrap();
    for (at, operation) in operations(&description) {
        let asked = operation["security"].as_array().unwrap_or_else(|| panic!("{at} does not say"));
        let named = asked.iter().flat_map(|choice| choice.as_object().unwrap().keys());
        assert!(named.clone().all(|name| schemes.contains_key(name)), "{at}: {asked:?}");
        let (method, path) = at.split_once(' ').unwrap();
        let route = ROUTES.iter().find(|route| route.method == method && route.is_at(path)).unwrap();
        assert_eq!(named.count() == 0, route.access == Access::Everybody, "{at}: {asked:?}");
    }
}

#[tokio::test]
async fn every_response_has_a_schema() {
    let description = description().await;
    for (at, operation) in operations(&description) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&description, response);
            assert!(response["description"].as_str().is_some_and(|says| !says.is_empty()), "{at} {status}");
            let bodies = response["content"].as_object();
            assert_eq!(bodies.is_none(), status == "204", "{at} {status}: {response}");
            for (media_type, body) in bodies.into_iter().flatten() {
                assert!(body["schema"].is_object(), "{at} {status} {media_type}: {body}");
                let is_problem = media_type == "application/problem+json";
                assert_eq!(is_problem, !status.starts_with('2'), "{at} {status} {media_type}");
            }
        }
        let refused =
            operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('4'));
        assert!(refused, "{at} is never refused");
    }
}

#[tokio::test]
async fn the_parameters_of_a_path_are_those_in_it() {
    let description = description().await;
    for (at, operation) in operations(&description) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut seen = BTreeSet::new();
        let mut in_path = BTreeSet::new();
        for parameter in parameters {
            let (place, name) = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
            assert!(seen.insert((place, name)), "{at}: {name} twice");
            assert!(parameter["schema"].is_object(), "{at}: {parameter}");
            if place == "path" {
                assert_eq!(parameter["required"], true, "{at}: {name}");
                in_path.insert(name);
            }
        }
        let parts = at.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(in_path, parts.collect(), "{at}");
    }
}

#[tokio::test]
async fn every_schema_says_what_it_allows() {
    let description = description().await;
    let mut faults = Vec::new();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        vague(name, schema, &mut faults);
    }
    for (at, operation) in operations(&description) {
        bodies(&at, operation, &mut faults);
    }
    for (name, response) in description["components"]["responses"].as_object().unwrap() {
        bodies(name, response, &mut faults);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Looks for schemas below what is none itself.
fn bodies(at: &str, value: &Value, faults: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, part) in object {
                let at = format!("{at}/{key}");
                if key == "schema" { vague(&at, part, faults) } else { bodies(&at, part, faults) }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| bodies(at, part, faults)),
        _ => {}
    }
}

/// What is wrong with a schema and those in it: one that allows everything, of which no client can make a type.
fn vague(at: &str, schema: &Value, faults: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        faults.push(format!("{at} is {schema}"));
        return;
    };
    let says = ["$ref", "type", "anyOf", "allOf", "oneOf", "enum", "const"];
    if !says.iter().any(|word| object.contains_key(*word)) {
        faults.push(format!("{at} says nothing: {schema}"));
    }
    let types: Vec<&str> = match &object.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(only)) => vec![only],
        _ => Vec::new(),
    };
    if types.contains(&"array") && !object.contains_key("items") {
        faults.push(format!("{at} is an array of anything"));
    }
    if types.contains(&"object")
        && !["properties", "additionalProperties"].iter().any(|k| object.contains_key(*k))
    {
        faults.push(format!("{at} is an object of anything: {schema}"));
    }
    let known = object.get("properties").and_then(Value::as_object);
    for name in
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if !known.is_some_and(|known| known.contains_key(name)) {
            faults.push(format!("{at} requires {name}, which it does not describe"));
        }
    }
    inner(at, object, faults);
}

fn inner(at: &str, object: &Map<String, Value>, faults: &mut Vec<String>) {
    for (name, schema) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        vague(&format!("{at}.{name}"), schema, faults);
    }
    for word in ["anyOf", "allOf", "oneOf"] {
        for schema in object.get(word).and_then(Value::as_array).into_iter().flatten() {
            vague(&format!("{at}/{word}"), schema, faults);
        }
    }
    if let Some(items) = object.get("items") {
        vague(&format!("{at}[]"), items, faults);
    }
    // Whether there may be more is all that a boolean says here.
    if let Some(more) = object.get("additionalProperties").filter(|more| !more.is_boolean()) {
        vague(&format!("{at}.*"), more, faults);
    }
}

#[test]
fn vague_schemas_are_found() {
    let found = |schema: Value| {
        let mut faults = Vec::new();
        vague("it", &schema, &mut faults);
        faults.len()
    };
    assert_eq!(found(Value::Bool(true)), 1);
    assert_eq!(found(serde_json::json!({ "description": "Something." })), 1);
    assert_eq!(found(serde_json::json!({ "type": ["array", "null"] })), 1);
    assert_eq!(
        found(serde_json::json!({ "type": "object", "properties": { "a": true }, "required": ["b"] })),
        2
    );
    assert_eq!(
        found(serde_json::json!({ "type": "array", "items": { "$ref": "#/components/schemas/Job" } })),
        0
    );
}

#[tokio::test]
async fn the_page_asks_nobody_else_for_anything() {
    let api = Api::start().await;
    let reply = api.get("/docs").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").starts_with("text/html"), "{:?}", reply.header("content-type"));
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let page = String::from_utf8(reply.bytes.clone()).unwrap();
    assert!(page.contains("openapi.json") && page.contains("SwaggerUIBundle"));
    assert!(!page.contains("<script src") && !page.contains("<link "), "the page loads something");
}
