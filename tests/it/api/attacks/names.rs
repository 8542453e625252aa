//! Hostile values in paths, queries and headers.

use api_thin::routes::{Access, Scope};
use api_thin::{ROUTES, Route};
use reqwest::header::HeaderName;
use tests::api::send;

use super::hostile::{encoded, texts};
use super::site::{Mine, Site, path};
use crate::api::bodies::body;
use crate::api::every_route::method;

/// The names of a route's parameters.
fn parameters(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| part.starts_with('{')).collect()
}

/// Bytes that are no text, and parts of a path that a server might resolve.
const BYTES: [&str; 6] = ["%00", "%FF", "%ED%A0%80", "%C0%AE%C0%AE", "%2E%2E%2F%2E%2E", "%252e%252e"];

/// The attacker's path with `bad` in place of the route's parameter `parameter`.
fn replaced(route: &Route, mine: &Mine, parameter: &str, bad: &str) -> String {
    let good = path(route, mine);
    // Where it is in the route is where it is in the path, counted from the end.
    let from_end = route.path.split('/').rev().position(|part| part == parameter).expect("it is a parameter");
    let mut parts: Vec<_> = good.split('/').collect();
    let at = parts.len() - 1 - from_end;
    parts[at] = bad;
    parts.join("/")
}

#[tokio::test]
async fn no_name_in_a_path_is_a_fault_of_the_servers_or_anothers_thing() {
    let site = Site::open().await;
    hostile_names(&site).await;
    site.assert_theirs_untouched("a name in a path").await;
}

pub(super) async fn hostile_names(site: &Site) {
    let names: Vec<_> = texts().iter().map(|text| encoded(text)).chain(BYTES.map(str::to_owned)).collect();
    for route in ROUTES {
        if parameters(route.path).is_empty() {
            continue;
        }
        let mine = site.mine().await;
        for parameter in parameters(route.path) {
            for name in names.iter().filter(|name| !name.is_empty()) {
                let path = replaced(route, &mine, parameter, name);
                let shown = format!("{} {}", route.method, path.chars().take(200).collect::<String>());
                // Not as the operator, who is allowed to change every tenant.
                let mut request = site.api.request(method(route), &path).bearer_auth(&mine.tenant.key);
                if let Some(body) = body(route) {
                    request = request.json(&body);
                }
                let reply = site.attack(request, &mine, &shown).await;
                // Names that callers choose for their own resources.
                let own = matches!(parameter, "{queue}" | "{schedule}");
                assert!(own || reply.status >= 400, "{shown}: {reply:?}");
            }
        }
    }
}

/// All parameters that some route reads from its query.
const QUERIES: [&str; 17] = [
    "limit",
    "page",
    "page_size",
    "after",
    "status",
    "plan",
    "role",
    "state",
    "type",
    "queue",
    "kb_id",
    "entities_after",
    "relations_after",
    "actor",
    "action",
    "since",
    "until",
];

#[tokio::test]
async fn no_query_is_a_fault_of_the_servers_or_says_whose_data_is_meant() {
    let site = Site::open().await;
    hostile_queries(&site).await;
    site.assert_theirs_untouched("a query").await;
}

pub(super) async fn hostile_queries(site: &Site) {
    let values: Vec<_> = texts().iter().map(|text| encoded(text)).chain(BYTES.map(str::to_owned)).collect();
    for route in ROUTES.iter().filter(|route| route.method == "get") {
        let mine = site.mine().await;
        let path = path(route, &mine);
        for parameter in QUERIES {
            for value in &values {
                let query = format!("{path}?{parameter}={value}");
                let shown: String = query.chars().take(200).collect();
                let reply = site.probe(site.request(route, &query, &mine), &shown).await;
                if reply.status == 400 && reply.text("/detail").contains("unknown field") {
                    break;
                }
                let body = String::from_utf8_lossy(&reply.bytes);
                let operators = route.access == Access::Operator;
                for text in ["the secret plan", &format!("the plan of {}", site.theirs.id)] {
                    assert!(operators || !body.contains(text), "{shown} shows another's: {body}");
                }
            }
        }
    }
}

/// A tenant in the query, as ids are often sent, changes nothing about the answer or is refused.
#[tokio::test]
async fn another_tenant_in_the_query_is_not_heard() {
    let site = Site::open().await;
    for route in ROUTES.iter().filter(|route| route.method == "get") {
        let mine = site.mine().await;
        let path = path(route, &mine);
        let usual = send(site.request(route, &path, &mine)).await;
        for parameter in ["tenant", "tenant_id", "X-Tenant-ID", "kb_id"] {
            let asked = site.request(route, &format!("{path}?{parameter}=acme-2"), &mine);
            let reply = send(asked).await;
            let same = (reply.status, &reply.bytes) == (usual.status, &usual.bytes);
            assert!(same || reply.status == 400 || counts(route.path), "{path}?{parameter}: {reply:?}");
        }
    }
}

/// Routes whose answer counts the requests themselves.
fn counts(path: &str) -> bool {
    matches!(path, "/usage" | "/metrics")
}

#[tokio::test]
async fn headers_that_disagree_are_refused() {
    let site = Site::open().await;
    for route in ROUTES {
        // The operator belongs to no tenant, so any that is named is meant.
        if route.scope != Scope::Tenant || route.access == Access::Operator {
            continue;
        }
        let mine = site.mine().await;
        let (whole, short) =
            (path(route, &mine), path(route, &mine).replace(&format!("/tenants/{}", mine.tenant.id), ""));
        let headers: [(&str, &[(&str, &str)]); 5] = [
            (&whole, &[("x-tenant-id", &site.theirs.id)]),
            (&short, &[("x-tenant-id", &site.theirs.id)]),
            (&short, &[("x-tenant-id", &mine.tenant.id), ("x-tenant-id", &site.theirs.id)]),
            (&short, &[("x-api-key", &site.theirs.key)]),
            (&short, &[("authorization", &format!("Bearer {}", site.theirs.key))]),
        ];
        for (path, pairs) in headers {
            let mut request = site.request(route, path, &mine);
            for (name, value) in pairs {
                request = request.header(name.parse::<HeaderName>().unwrap(), *value);
            }
            if let Some(body) = body(route) {
                request = request.json(&body);
            }
            let what = format!("{} {path} with {pairs:?}", route.method);
            let reply = site.attack(request, &mine, &what).await;
            assert!((400..=403).contains(&reply.status), "{what}: {reply:?}");
        }
    }
    site.assert_theirs_untouched("a header").await;
}
