use reqwest::Method;
use serde_json::Value;
use tests::api::{Api, ApiOptions, problem, send};

fn ids(page: &Value) -> Vec<&str> {
    page["tenants"].as_array().unwrap().iter().map(|tenant| tenant["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_operator_lists_tenants_page_by_page() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    api.tenant("acme-2").await;
    api.provisioning("beta").await;
    let list = async |query: &str| send(api.operator(Method::GET, &format!("/api/v1/tenants{query}"))).await;
    let page = list("?limit=2").await.body();
    assert_eq!((ids(&page), page["next"].as_str()), (vec!["acme", "acme-2"], Some("acme-2")));
    let page = list("?limit=2&after=acme-2").await.body();
    assert_eq!((ids(&page), &page["next"]), (vec!["beta"], &Value::Null));
    assert_eq!(ids(&list("?status=provisioning").await.body()), ["beta"]);
    assert_eq!(ids(&list("?status=active&plan=standard").await.body()), ["acme", "acme-2"]);
    assert_eq!(ids(&list("?plan=gold'%20or%201=1").await.body()), Vec::<&str>::new());
    for query in ["?status=lost", "?limit=0", "?after=A", "?name=acme"] {
        problem(&list(query).await, 400, "invalid_query");
    }
    let members = send(api.request(Method::GET, "/api/v1/tenants").bearer_auth(&acme.key)).await;
    problem(&members, 403, "forbidden");
}

#[tokio::test]
async fn plans_are_shown_with_their_limits() {
    let plans = jobs::plan::Plans::parse("[plan.free]\ncap = 2").unwrap();
    let api = Api::with(ApiOptions { plans, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    for request in [
        api.operator(Method::GET, "/api/v1/plans"),
        api.request(Method::GET, "/api/v1/plans").bearer_auth(&acme.key),
    ] {
        let shown = send(request).await.body();
        let free = shown["plans"].as_array().unwrap().iter().find(|plan| plan["name"] == "free");
        assert_eq!(free.unwrap()["limits"]["cap"], 2, "{shown}");
    }
}
