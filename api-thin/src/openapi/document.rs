use aide::openapi::{Components, Info, License, OpenApi, ReferenceOr, SecurityScheme, Tag};

use super::describe::{describe, tags};
use super::responses::refusals;
use crate::routes::documented_routes;

/// The name of the way to send credentials as a bearer token.
pub(super) const BEARER: &str = "bearer";
/// The name of the way to send an API key in a header of its own.
pub(super) const API_KEY: &str = "api_key";

/// The API as [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0).
#[must_use]
pub fn document() -> OpenApi {
    let mut api = OpenApi { info: info(), tags: tags().into_iter().map(tag).collect(), ..OpenApi::default() };
    // Only what it writes down is wanted: these routes have no state to serve anything with.
    let _ = documented_routes().finish_api(&mut api);
    let components = api.components.get_or_insert_with(Components::default);
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(bearer()));
    components.security_schemes.insert(API_KEY.to_owned(), ReferenceOr::Item(api_key()));
    components.responses.extend(refusals());
    describe(&mut api);
    api
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

fn tag(name: String) -> Tag {
    Tag { name, ..Tag::default() }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::{ROUTES, Scope};

    fn operations() -> BTreeSet<(String, String)> {
        let api = document();
        api.operations().map(|(path, method, _)| (method.to_owned(), path.to_owned())).collect()
    }

    #[test]
    fn every_route_is_described_in_each_of_its_places() {
        let mut expected = BTreeSet::new();
        for route in ROUTES {
            expected.extend(route.places().into_iter().map(|place| (route.method.to_owned(), place)));
        }
        assert_eq!(operations(), expected);
        assert!(ROUTES.iter().any(|route| route.scope == Scope::Tenant), "the table is empty");
    }

    #[test]
    fn every_operation_says_what_it_is_and_what_it_answers() {
        let api = document();
        let mut ids = BTreeSet::new();
        for (path, method, operation) in api.operations() {
            let at = format!("{method} {path}");
            assert!(operation.summary.is_some(), "{at}");
            assert!(
                ids.insert(operation.operation_id.clone()),
                "{at}: {:?} is another's id",
                operation.operation_id
            );
            let responses = operation.responses.as_ref().unwrap_or_else(|| panic!("{at} answers nothing"));
            let good = |status: &aide::openapi::StatusCode| status.to_string().starts_with('2');
            assert!(responses.responses.keys().any(good), "{at}: no good answer is described");
        }
    }

    #[test]
    fn what_may_be_left_out_of_a_query_is_never_null() {
        let json = serde_json::to_value(document()).unwrap();
        let parameters = &json["paths"]["/api/v1/tenants/{tenant}/kbs/{kb}/documents"]["get"]["parameters"];
        let schema = |name: &str| {
            let parameter = parameters.as_array().unwrap().iter().find(|parameter| parameter["name"] == name);
            parameter.unwrap()["schema"].clone()
        };
        assert_eq!(schema("limit")["type"], "integer");
        assert_eq!(schema("status")["anyOf"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_refers_to_something_finds_it() {
        let json = serde_json::to_value(document()).unwrap();
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
