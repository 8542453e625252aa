//! Hostile values in request bodies.

use api_thin::ROUTES;
use serde_json::{Value, json};
use tests::api::problem;

use super::hostile::{places, raw_values, with};
use super::site::{Mine, Site, path};
use crate::api::bodies::body;

/// Fields that an attacker would like to set.
const ASSIGNED: [&str; 9] =
    ["tenant_id", "tenant", "role", "plan", "status", "limits", "is_operator", "id", "created_by"];

/// The paths of all objects in a body.
fn objects(body: &Value) -> Vec<String> {
    let below = places(body).into_iter().filter(|place| body.pointer(place).is_some_and(Value::is_object));
    std::iter::once(String::new()).chain(below).collect()
}

#[tokio::test]
async fn what_a_body_does_not_know_is_refused() {
    let site = Site::open().await;
    for route in ROUTES {
        let Some(good) = body(route) else { continue };
        let mine = site.mine().await;
        for place in objects(&good) {
            for field in ASSIGNED {
                let mut bad = good.clone();
                let fields = bad.pointer_mut(&place).and_then(Value::as_object_mut).unwrap();
                // Maps whose names the caller chooses, and a field that the good body leaves out.
                let is_known = route.path.ends_with("/documents/delete") && field == "status";
                let is_map = place == "/limits/type_caps" || place == "/metadata";
                if fields.contains_key(field) || is_map || is_known {
                    continue;
                }
                fields.insert(field.to_owned(), json!(site.theirs.id));
                let what = format!("{} {} with {place}/{field}", route.method, route.path);
                let request = site.request(route, &path(route, &mine), &mine).json(&bad);
                let reply = site.attack(request, &mine, &what).await;
                problem(&reply, 400, "unknown_field");
            }
        }
    }
    site.assert_theirs_untouched("a field too many").await;
}

/// serde takes a list for any struct, its values in the order of the fields: nothing could be said of fields then.
#[tokio::test]
async fn a_list_in_place_of_an_object_is_refused() {
    let site = Site::open().await;
    for route in ROUTES {
        let Some(good) = body(route) else { continue };
        let mine = site.mine().await;
        for place in objects(&good) {
            let mut bad = good.clone();
            let object = bad.pointer_mut(&place).unwrap();
            *object = object.as_object().into_iter().flatten().map(|(_, value)| value.clone()).collect();
            let what = format!("{} {} with a list at {place:?}", route.method, route.path);
            let request = site.request(route, &path(route, &mine), &mine).json(&bad);
            problem(&site.attack(request, &mine, &what).await, 400, "invalid_field");
        }
    }
    site.assert_theirs_untouched("a list in place of an object").await;
}

/// A doubled field must be refused, because which of its values counts would depend on the parser.
#[tokio::test]
async fn what_comes_twice_is_refused() {
    let site = Site::open().await;
    for route in ROUTES {
        let Some(good) = body(route) else { continue };
        let mine = site.mine().await;
        for place in places(&good) {
            let (within, name) = place.rsplit_once('/').unwrap();
            let (Some(value), Some(Value::Object(_))) = (good.pointer(&place), good.pointer(within)) else {
                continue;
            };
            let twice = format!("{}:{value},{}:{value}", json!(name), json!(name));
            let once = format!("{}:{value}", json!(name));
            let text = good.to_string();
            assert!(text.contains(&once), "{text} has no {once}");
            let what = format!("{} {} with {place} twice", route.method, route.path);
            let request = json_request(&site, route, &mine, text.replacen(&once, &twice, 1));
            let reply = site.attack(request, &mine, &what).await;
            assert_eq!(reply.status, 400, "{what}: {reply:?}");
        }
    }
    site.assert_theirs_untouched("a field that comes twice").await;
}

fn json_request(site: &Site, route: &api_thin::Route, mine: &Mine, text: String) -> reqwest::RequestBuilder {
    let request = site.request(route, &path(route, mine), mine);
    request.header("content-type", "application/json").body(text)
}

/// Every hostile value at every path of every body.
#[tokio::test]
async fn no_value_is_a_fault_of_the_servers_or_reaches_another_tenant() {
    let site = Site::open().await;
    hostile_values(&site).await;
    site.assert_theirs_untouched("a hostile value").await;
}

pub(super) async fn hostile_values(site: &Site) {
    let values = raw_values();
    for route in ROUTES {
        let Some(good) = body(route) else { continue };
        let mine = site.mine().await;
        for place in places(&good) {
            for value in &values {
                let text = with(&good, &place, value);
                let shown: String = value.chars().take(60).collect();
                let what = format!("{} {} with {shown} at {place}", route.method, route.path);
                site.attack(json_request(site, route, &mine, text), &mine, &what).await;
            }
        }
    }
}
