//! The operator's list of tenants: sorted, searched, and by what each has in the queue.

use jobs::queue::Verdict;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, problem, send};

async fn list(api: &Api, query: &str) -> Value {
    let reply = send(api.operator(Method::GET, &format!("/api/v1/tenants{query}"))).await;
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    reply.body()
}

fn ids(page: &Value) -> Vec<&str> {
    page["tenants"].as_array().unwrap().iter().map(|tenant| tenant["id"].as_str().unwrap()).collect()
}

/// The parameter that asks for what comes after a page.
fn after_of(next: &str) -> String {
    let url = reqwest::Url::parse_with_params("http://x", [("after", next)]).unwrap();
    url.query().unwrap().to_owned()
}

async fn rename(api: &Api, id: &str, name: &str) {
    let change = api.operator(Method::PATCH, &format!("/api/v1/tenants/{id}")).json(&json!({ "name": name }));
    assert_eq!(send(change).await.status, 200);
}

#[tokio::test]
async fn tenants_are_sorted_and_found_by_what_the_catalog_knows() {
    let api = Api::start().await;
    for (id, name) in [("a", "Zebra 100%"), ("b", "apple"), ("c", "Mango")] {
        api.tenant(id).await;
        rename(&api, id, name).await;
        api.clock.advance(std::time::Duration::from_secs(60));
    }
    for (sort, expected) in [
        ("name", ["b", "c", "a"]),
        ("-name", ["a", "c", "b"]),
        ("created_at", ["a", "b", "c"]),
        ("-created_at", ["c", "b", "a"]),
        ("-id", ["c", "b", "a"]),
        ("plan", ["a", "b", "c"]),
    ] {
        assert_eq!(ids(&list(&api, &format!("?sort={sort}")).await), expected, "{sort}");
        let mut walked = Vec::new();
        let mut after = String::new();
        loop {
            let page = list(&api, &format!("?sort={sort}&limit=1{after}")).await;
            walked.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&{}", after_of(next));
        }
        assert_eq!(walked, expected, "{sort}, page by page");
    }
    for (search, expected) in [
        ("ang", vec!["c"]),
        ("APPLE", vec!["b"]),
        ("%25", vec!["a"]),
        ("_", vec![]),
        ("", vec!["a", "b", "c"]),
    ] {
        assert_eq!(ids(&list(&api, &format!("?search={search}")).await), expected, "{search}");
    }
    for query in
        ["?sort=weight", "?sort=--name", "?sort=name&after=x", "?queue=maybe", "?sort=waiting&after=x"]
    {
        let reply = send(api.operator(Method::GET, &format!("/api/v1/tenants{query}"))).await;
        problem(&reply, 400, "invalid_query");
    }
}

#[tokio::test]
async fn tenants_are_sorted_by_what_they_have_in_the_queue() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("other").await);
    // Their provisioning jobs wait for a worker.
    let waits = |page: &Value, id: &str| -> Value {
        let of = page["tenants"].as_array().unwrap().iter().find(|tenant| tenant["id"] == id);
        of.map_or(Value::Null, |tenant| tenant["queue"].clone())
    };
    for at in 0..3 {
        assert_eq!(acme.upload_text(&format!("{at}.md"), "text").await.status, 202);
    }
    let page = list(&api, "?sort=waiting").await;
    assert_eq!(ids(&page), ["acme", "other"]);
    assert_eq!(
        (&waits(&page, "acme")["waiting"], &waits(&page, "acme")["state"]),
        (&json!(4), &json!("ready"))
    );
    assert_eq!((&page["in_queue"]["available"], &page["in_queue"]["tenants"]), (&json!(5), &json!(2)));
    assert_eq!(ids(&list(&api, "?sort=waiting&search=oth").await), ["other"]);
    let first = list(&api, "?sort=waiting&limit=1").await;
    let next = after_of(first["next"].as_str().unwrap());
    let second = list(&api, &format!("?sort=waiting&limit=1&{next}")).await;
    assert_eq!((ids(&first), ids(&second), &second["next"]), (vec!["acme"], vec!["other"], &Value::Null));

    let failed = |_: &_| Verdict::Discarded { code: "x", reason: String::new() };
    assert_eq!(api.work(&acme, failed).await, 3);
    let page = list(&api, "?sort=failed").await;
    assert_eq!((ids(&page)[0], &waits(&page, "acme")["dead_letters"]), ("acme", &json!(3)));

    assert_eq!(send(other.request(Method::POST, "/jobs/pause")).await.status, 200);
    let page = list(&api, "?sort=oldest").await;
    assert_eq!(waits(&page, "other")["state"], "paused");
    let page = list(&api, "?queue=true").await;
    assert_eq!((ids(&page), &waits(&page, "other")["state"]), (vec!["acme", "other"], &json!("paused")));
    assert_eq!(waits(&list(&api, "").await, "other"), Value::Null, "said only if asked");
}
