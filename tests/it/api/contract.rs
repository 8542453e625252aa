//! The requests of the multi-tenancy guides, as their readers send them: each works as it stands, each field is stored
//! and shown.

use api_thin::IdentityConfig;
use api_thin::config::{AccountRules, Switch};
use jobs::plan::Plans;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stores::model::ThrottleRule;
use tests::api::{Api, ApiOptions, ApiTenant, Claims, OPERATOR_KEY, Reply, Written, problem, send};
use uuid::Uuid;

/// A client of the guide: a token, `X-Tenant-ID`, `X-KB-ID`, and paths below `/api/v1`.
struct Guide<'a> {
    api: &'a Api,
    bearer: String,
    tenant: Option<&'a str>,
    kb: Option<&'a str>,
}

impl<'a> Guide<'a> {
    fn operator(api: &'a Api) -> Self {
        Self { api, bearer: OPERATOR_KEY.to_owned(), tenant: None, kb: None }
    }

    fn of(api: &'a Api, tenant: &'a ApiTenant) -> Self {
        Self { api, bearer: tenant.key.clone(), tenant: Some(&tenant.id), kb: None }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.api.request(method, &format!("/api/v1{path}")).bearer_auth(&self.bearer);
        let named = [("x-tenant-id", self.tenant), ("x-kb-id", self.kb)];
        named.into_iter().fold(request, |request, (header, name)| match name {
            Some(name) => request.header(header, name),
            None => request,
        })
    }

    async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    async fn put(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::PUT, path).json(body)).await
    }

    async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }
}

fn field_of(reply: &Reply) -> Value {
    reply.body()["field"].clone()
}

#[tokio::test]
async fn a_tenant_is_made_by_its_name_and_shows_every_field() {
    let api = Api::start().await;
    let guide = Guide::operator(&api);
    let body = json!({
        "name": "Acme Corporation", "description": "Anvils\nand more",
        "metadata": { "plan": "enterprise", "contact": { "mail": "ann@example.com" }, "nul": "a\u{0}b" },
    });
    let made = guide.post("/tenants", &body).await;
    assert_eq!(made.status, 202, "{made:?}");
    let id = made.text("/tenant_id");
    assert!(id.parse::<Uuid>().is_ok(), "{id}");
    assert_eq!(
        (made.text("/tenant_name"), made.text("/tenant/plan")),
        ("Acme Corporation".into(), "enterprise".into())
    );
    let shown = guide.get(&format!("/tenants/{id}")).await.body();
    for (field, expected) in [
        ("tenant_id", json!(id)),
        ("id", json!(id)),
        ("tenant_name", body["name"].clone()),
        ("name", body["name"].clone()),
        ("description", body["description"].clone()),
        ("metadata", body["metadata"].clone()),
        ("plan", json!("enterprise")),
        ("is_active", json!(true)),
        ("created_by", json!("operator")),
        ("created_at", json!("2027-01-15T08:00:00Z")),
        ("updated_at", json!("2027-01-15T08:00:00Z")),
        ("kb_count", json!(0)),
        ("total_documents", json!(0)),
        ("total_storage_mb", json!(0.0)),
    ] {
        assert_eq!(shown[field], expected, "{field} of {shown}");
    }
    let word = guide.post("/tenants", &json!({ "tenant_id": "bolt", "name": "Bolt" })).await;
    assert_eq!(
        (word.status, word.text("/tenant/id"), word.text("/tenant/plan")),
        (202, "bolt".into(), Plans::USUAL.into())
    );
    let given = "6f9619ff-8b86-4011-b42d-00c04fc964ff";
    assert_eq!(guide.post("/tenants", &json!({ "id": given, "name": "Given" })).await.status, 202);
    assert_eq!(guide.get(&format!("/tenants/{given}")).await.text("/description"), "");
}

#[tokio::test]
async fn a_tenant_that_cannot_be_made_says_why() {
    let api = Api::start().await;
    let guide = Guide::operator(&api);
    let before = guide.get("/tenants?page=1").await.body();
    for (body, field) in [
        (json!({ "name": "x", "description": 3 }), "description"),
        (json!({ "name": "x", "description": "x".repeat(2_001) }), "description"),
        (json!({ "name": "x", "description": "a\u{0}" }), "description"),
        (json!({ "name": "x", "metadata": [1] }), "metadata"),
        (json!({ "name": "x", "metadata": "plan" }), "metadata"),
        (json!({ "name": "x", "metadata": { "a": "x".repeat(16_400) } }), "metadata"),
        (json!({ "name": "x", "metadata": { "plan": 3 } }), "metadata.plan"),
        (json!({ "name": "x", "metadata": { "plan": "pro" }, "plan": "free" }), "metadata.plan"),
        (json!({ "name": "x", "metadata": { "plan": "planet" } }), "plan"),
    ] {
        let refused = guide.post("/tenants", &body).await;
        problem(&refused, 400, "invalid_field");
        assert_eq!(field_of(&refused), field, "{body}");
    }
    let two = guide.post("/tenants", &json!({ "name": "x", "id": "one", "tenant_id": "two" })).await;
    problem(&two, 400, "tenant_conflict");
    assert_eq!(guide.get("/tenants?page=1").await.body(), before);
    let admin = api.tenant("acme").await;
    problem(&Guide::of(&api, &admin).post("/tenants", &json!({ "name": "x" })).await, 403, "forbidden");
}

#[tokio::test]
async fn a_put_changes_what_it_says_and_nothing_else() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let guide = Guide::of(&api, &acme);
    api.clock.advance(std::time::Duration::from_secs(60));
    let put = guide.put("/tenants/acme", &json!({ "name": "Acme Ltd" })).await;
    assert_eq!((put.status, put.text("/tenant_name")), (200, "Acme Ltd".into()), "{put:?}");
    assert_eq!(put.text("/updated_at"), "2027-01-15T08:01:00Z");
    let told = json!({ "description": "Anvils", "metadata": { "a": 1, "b": { "c": 2 } } });
    assert_eq!(guide.put("/tenants/acme", &told).await.status, 200);
    let shown = guide.get("/tenants/acme").await;
    assert_eq!((shown.text("/name"), shown.text("/description")), ("Acme Ltd".into(), "Anvils".into()));
    assert_eq!(shown.body()["metadata"], told["metadata"]);
    let patched = send(
        guide.request(Method::PATCH, "/tenants/acme").json(&json!({ "metadata": { "a": null, "d": 3 } })),
    )
    .await;
    assert_eq!(patched.body()["metadata"], json!({ "b": { "c": 2 }, "d": 3 }), "a merge patch");
    assert_eq!(
        guide.put("/tenants/acme", &json!({ "metadata": { "e": 4 } })).await.body()["metadata"],
        json!({ "e": 4 })
    );
    assert_eq!(guide.put("/tenants/acme", &json!({ "metadata": null })).await.body()["metadata"], json!({}));
    let tag = guide.get("/tenants/acme").await.header("etag").to_owned();
    assert_eq!(guide.put("/tenants/acme", &json!({ "name": "Acme" })).await.status, 200);
    let stale =
        guide.request(Method::PUT, "/tenants/acme").header("if-match", tag).json(&json!({ "name": "Late" }));
    problem(&send(stale).await, 412, "precondition_failed");

    problem(&guide.put("/tenants/acme", &json!({ "status": "active" })).await, 400, "unknown_field");
    problem(&guide.put("/tenants/acme", &json!({ "name": "" })).await, 400, "invalid_field");
    let editor = Guide { bearer: member(&api, &acme, "EDITOR").await, ..Guide::of(&api, &acme) };
    problem(&editor.put("/tenants/acme", &json!({ "name": "Mine" })).await, 403, "forbidden");
    let before = Written::of(&api, &acme).await;
    let other = Guide { tenant: None, ..Guide::of(&api, &twin) };
    problem(&other.put("/tenants/acme", &json!({ "name": "Mine" })).await, 403, "tenant_mismatch");
    problem(&other.get("/tenants/acme").await, 403, "tenant_mismatch");
    assert_eq!(Written::of(&api, &acme).await, before);
    let log = acme.get("/audit").await.body();
    let put = log["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == "settings_put");
    assert!(put.filter(|entry| entry["status"] == 200).count() >= 4, "{log}");
}

async fn member(api: &Api, tenant: &ApiTenant, role: &str) -> String {
    tenant.member(api, "product:ann", role).await;
    Claims::of(&tenant.id, role).token()
}

/// The plan in the metadata is the tenant's plan, which no administrator gives to themselves.
#[tokio::test]
async fn the_plan_in_the_metadata_is_the_plan() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let (guide, operator) = (Guide::of(&api, &acme), Guide::operator(&api));
    let plan = |reply: &Reply| (reply.text("/plan"), reply.body()["metadata"]["plan"].clone());
    let upgrade = json!({ "metadata": { "plan": "enterprise" } });
    problem(&guide.put("/tenants/acme", &upgrade).await, 403, "forbidden");
    let patch = async |guide: &Guide<'_>, body: Value| {
        send(guide.request(Method::PATCH, "/tenants/acme").json(&body)).await
    };
    problem(&patch(&guide, upgrade.clone()).await, 403, "forbidden");
    assert_eq!(guide.get("/tenants/acme").await.text("/plan"), Plans::USUAL);
    let same = guide.put("/tenants/acme", &json!({ "metadata": { "plan": Plans::USUAL } })).await;
    assert_eq!(plan(&same), (Plans::USUAL.into(), json!(Plans::USUAL)));
    let upgraded = operator.put("/tenants/acme", &upgrade).await;
    assert_eq!(plan(&upgraded), ("enterprise".into(), json!("enterprise")));
    assert_eq!(
        plan(&patch(&operator, json!({ "plan": "pro" })).await),
        ("pro".into(), json!("pro")),
        "both follow"
    );
    let two = patch(&operator, json!({ "plan": "pro", "metadata": { "plan": "free" } })).await;
    problem(&two, 400, "invalid_field");
    problem(
        &operator.put("/tenants/acme", &json!({ "metadata": { "plan": "planet" } })).await,
        400,
        "invalid_field",
    );
    assert_eq!(plan(&operator.get("/tenants/acme").await), ("pro".into(), json!("pro")));
}

#[tokio::test]
async fn a_tenant_is_closed_by_delete() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    problem(&Guide::of(&api, &acme).delete("/tenants/acme").await, 403, "forbidden");
    assert_eq!(Guide::operator(&api).delete("/tenants/acme").await.status, 202);
    assert_eq!(Guide::operator(&api).get("/tenants/acme").await.body()["is_active"], false);
}

#[tokio::test]
async fn a_knowledge_base_is_made_by_its_name_and_shows_every_field() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let guide = Guide::of(&api, &acme);
    let made =
        guide.post("/tenants/acme/kbs", &json!({ "name": "Research", "description": "All papers" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, path) = (made.text("/kb_id"), made.text("/location"));
    let path = path.strip_prefix("/api/v1").unwrap();
    let text = json!({ "text": "Ada Lovelace met Charles Babbage.\nIn London." });
    assert_eq!(guide.post(&format!("{path}/documents/text"), &text).await.status, 202);
    api.clock.advance(std::time::Duration::from_secs(60));
    let put = guide.put(path, &json!({ "name": "Old research" })).await;
    assert_eq!((put.status, put.text("/kb_name")), (200, "Old research".into()), "{put:?}");
    let mut shown = guide.get(path).await.body();
    for (field, expected) in [
        ("id", json!(id)),
        ("kb_id", json!(id)),
        ("tenant_id", json!("acme")),
        ("name", json!("Old research")),
        ("kb_name", json!("Old research")),
        ("description", json!("All papers")),
        ("is_active", json!(true)),
        ("created_at", json!("2027-01-15T08:00:00Z")),
        ("updated_at", json!("2027-01-15T08:01:00Z")),
        ("document_count", json!(1)),
        ("entity_count", json!(0)),
        ("relation_count", json!(0)),
    ] {
        assert_eq!(shown[field], expected, "{field} of {shown}");
    }
    assert!(shown["created_by"].as_str().unwrap().starts_with("api_key:"), "{shown}");
    assert!(shown["storage_size_mb"].is_f64(), "{shown}");
    let listed = guide.get("/tenants/acme/kbs?page=1&page_size=1000").await.body();
    for count in ["entity_count", "relation_count"] {
        shown.as_object_mut().unwrap().remove(count);
    }
    assert!(listed["kbs"].as_array().unwrap().contains(&shown), "{listed}");
    assert_eq!(guide.put(path, &json!({ "description": "" })).await.text("/description"), "");
    assert_eq!(guide.get("/tenants/acme").await.body()["total_documents"], 1);
    assert_eq!(guide.get("/tenants/acme").await.body()["kb_count"], 2);

    let before = Written::of(&api, &acme).await;
    problem(&guide.put(path, &json!({ "name": " " })).await, 400, "invalid_field");
    problem(&guide.put(path, &json!({ "kb_name": "x" })).await, 400, "unknown_field");
    let own = Guide::of(&api, &twin);
    let elsewhere = format!("/tenants/acme-2/kbs/{id}");
    for reply in [
        own.get(&elsewhere).await,
        own.put(&elsewhere, &json!({ "name": "x" })).await,
        own.delete(&elsewhere).await,
    ] {
        problem(&reply, 404, "not_found");
    }
    assert_eq!(Written::of(&api, &acme).await, before);
    assert_eq!(guide.delete(path).await.status, 202);
    problem(&guide.get(path).await, 404, "not_found");
}

/// Whose credentials reach one knowledge base learns nothing of how much is in the others.
#[tokio::test]
async fn credentials_of_one_knowledge_base_see_no_statistics_of_the_tenant() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let key = json!({ "name": "narrow", "role": "VIEWER", "kb_id": "default" });
    let bearer = acme.post("/api-keys", &key).await.text("/api_key");
    let shown = Guide { bearer, ..Guide::of(&api, &acme) }.get("/tenants/acme").await;
    assert_eq!((shown.status, shown.text("/tenant_id")), (200, "acme".into()));
    for hidden in ["kb_count", "total_documents", "total_storage_mb"] {
        assert_eq!(shown.body()[hidden], Value::Null, "{shown:?}");
    }
}

/// The header names the knowledge base where the path does not.
#[tokio::test]
async fn a_text_alone_is_a_document_of_the_knowledge_base_in_the_header() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "papers").await;
    let named = |kb| Guide { kb, ..Guide::of(&api, &acme) };
    let text = json!({ "text": "  \n# Ada Lovelace met\nCharles Babbage." });
    let sent = named(Some("papers")).post("/documents/text", &text).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let name = sent.text("/documents/0/name");
    let (stem, extension) = name.rsplit_once('.').unwrap();
    assert!(stem.starts_with("ada-lovelace-met-") && extension == "txt", "{name}");
    let again = named(Some("papers")).post("/documents/text", &text).await.body()["documents"][0].clone();
    assert_eq!(
        (&again["name"], &again["revision"]),
        (&json!(name), &json!(2)),
        "the same text is the same document"
    );
    let other = json!({ "text": "\u{4f60}\u{597d} <SEP> ../x", "media_type": "text/markdown" });
    let other = named(Some("papers")).post("/tenants/acme/documents/text", &other).await;
    assert_eq!(other.text("/documents/0/name").rsplit_once('.').unwrap().1, "md", "{other:?}");
    assert_eq!(acme.get("/kbs/papers").await.body()["document_count"], 2);
    assert_eq!(acme.get("/kbs/default").await.body()["document_count"], 0);

    let viewer = Guide { bearer: member(&api, &acme, "VIEWER").await, ..named(Some("papers")) };
    let before = Written::of(&api, &acme).await;
    problem(&named(None).post("/documents/text", &text).await, 400, "kb_required");
    problem(&named(Some("nowhere")).post("/documents/text", &text).await, 404, "not_found");
    problem(&named(Some("papers")).post("/kbs/default/documents/text", &text).await, 400, "kb_conflict");
    problem(
        &named(Some("papers")).post("/documents/text", &json!({ "text": " " })).await,
        400,
        "empty_document",
    );
    problem(&viewer.post("/documents/text", &text).await, 403, "forbidden");
    let elsewhere = Guide { tenant: Some("acme-2"), ..named(Some("papers")) };
    problem(&elsewhere.post("/documents/text", &text).await, 403, "tenant_mismatch");
    assert_eq!(Written::of(&api, &acme).await, before);
}

/// So are documents listed, shown and removed.
#[tokio::test]
async fn documents_are_found_in_the_knowledge_base_in_the_header() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "papers").await;
    let named = |kb| Guide { kb, ..Guide::of(&api, &acme) };
    let batch = json!({ "documents": [{ "text": "one" }, { "text": "two" }] });
    assert_eq!(named(Some("papers")).post("/documents/batch", &batch).await.status, 202);
    let listed = named(Some("papers")).get("/documents?page=1").await.body();
    assert_eq!(listed["total"], 2, "{listed}");
    assert_eq!(named(Some("default")).get("/documents?page=1").await.body()["total"], 0);
    let id = listed["documents"][0]["id"].as_str().unwrap();
    let path = format!("/documents/{id}");
    assert_eq!(named(Some("papers")).get(&path).await.text("/id"), id);
    problem(&named(Some("default")).get(&path).await, 404, "not_found");
    for short in ["/documents", path.as_str()] {
        problem(&named(None).get(short).await, 400, "kb_required");
    }
    problem(&named(None).delete(&path).await, 400, "kb_required");
    problem(&named(Some("default")).delete(&path).await, 404, "not_found");
    assert_eq!(named(Some("papers")).delete(&path).await.status, 202);
}

const NO_PAGES: [&str; 7] =
    ["page=0", "page=x", "page_size=0", "page_size=1001", "page=1&limit=3", "page_size=3&after=x", "page=-1"];

#[tokio::test]
async fn lists_come_by_number_too() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let guide = Guide::of(&api, &acme);
    for number in 0..4 {
        api.tenant(&format!("other-{number}")).await;
        acme.kb_make(&api, &format!("kb-{number}")).await;
        acme.member(&api, &format!("product:p{number}"), "VIEWER").await;
        assert_eq!(acme.upload_text(&format!("{number}.md"), "text").await.status, 202);
    }
    let operator = Guide::operator(&api);
    for (who, path, items, key, total) in [
        (&operator, "/tenants", "tenants", "tenant_id", 5),
        (&guide, "/tenants/acme/kbs", "kbs", "kb_id", 5),
        (&guide, "/tenants/acme/members", "members", "user_id", 4),
        (&guide, "/tenants/acme/kbs/default/documents", "documents", "id", 4),
    ] {
        let keys = |page: &Value| -> Vec<String> {
            page[items]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item[key].as_str().unwrap().to_owned())
                .collect()
        };
        let all = keys(&who.get(path).await.body());
        assert_eq!(all.len(), total, "{path}");
        for (page, expected) in [(1, &all[..3]), (2, &all[3..]), (3, &[][..])] {
            let found = who.get(&format!("{path}?page={page}&page_size=3")).await.body();
            assert_eq!(keys(&found), expected, "{path} page {page}");
            let numbers = [&found["total"], &found["page"], &found["page_size"], &found["next"]];
            assert_eq!(numbers, [&json!(total), &json!(page), &json!(3), &Value::Null], "{path}");
        }
        assert_eq!(who.get(&format!("{path}?page_size=2")).await.body()["page"], 1);
        assert_eq!(who.get(&format!("{path}?page=1")).await.body()["page_size"], 100);
        for bad in NO_PAGES {
            problem(&who.get(&format!("{path}?{bad}")).await, 400, "invalid_query");
        }
        assert_eq!(who.get(path).await.body()["total"], Value::Null, "not by cursor");
    }
    let viewers = guide.get("/tenants/acme/members?role=viewer&page=1&page_size=3").await.body();
    assert_eq!((&viewers["total"], viewers["members"].as_array().unwrap().len()), (&json!(4), 3));
    let failed = guide.get("/tenants/acme/kbs/default/documents?status=failed&page=1").await.body();
    assert_eq!((&failed["total"], &failed["documents"]), (&json!(0), &json!([])));
    let listed = operator.get("/tenants?page=1&page_size=1").await.body();
    let first = &listed["tenants"][0];
    assert_eq!((&first["kb_count"], &first["total_documents"]), (&json!(5), &json!(4)), "{first}");
    assert_eq!(operator.get("/tenants").await.body()["tenants"][0]["kb_count"], Value::Null);
    assert_eq!(
        operator.get("/tenants?statistics=true&sort=waiting").await.body()["tenants"][0]["kb_count"],
        5
    );
    problem(&operator.get("/tenants?page=1&sort=waiting").await, 400, "invalid_query");
    let sorted = operator.get("/tenants?page=1&page_size=2&sort=-id&search=other").await.body();
    assert_eq!((&sorted["total"], &sorted["tenants"][0]["tenant_id"]), (&json!(4), &json!("other-3")));
}

async fn public(tries: Option<u32>) -> Api {
    let window = std::time::Duration::from_secs(60);
    let per_address = tries.map(|tries| ThrottleRule::Rate { tries, window });
    let rules = AccountRules { public_tenants: Switch::On, per_address, ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    Api::with(ApiOptions { identity, ..ApiOptions::default() }).await
}

#[tokio::test]
async fn tenants_are_public_for_selection_only_where_the_operator_allows_it() {
    let closed = Api::start().await;
    problem(&closed.get("/api/v1/tenants?page=1&page_size=10").await, 401, "credentials_missing");
    let api = public(None).await;
    let (acme, _) = (api.tenant("acme").await, api.tenant("bolt").await);
    api.tenant("gone").await;
    api.provisioning("early").await;
    let operator = Guide::operator(&api);
    assert_eq!(operator.post("/tenants/gone/suspend", &json!({})).await.status, 200);
    let told = json!({ "description": "secret", "metadata": { "secret": 1 } });
    assert_eq!(operator.put("/tenants/acme", &told).await.status, 200);
    let page = api.get("/api/v1/tenants?page=1&page_size=10").await.body();
    let named = |id: &str| json!({ "id": id, "tenant_id": id, "name": id, "tenant_name": id });
    let names = |page: &Value| -> Vec<String> {
        page["tenants"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&page), ["acme", "bolt"]);
    let fields: Vec<_> = page["tenants"][0].as_object().unwrap().keys().cloned().collect();
    let expected: Vec<_> = named("acme").as_object().unwrap().keys().cloned().collect();
    assert_eq!((fields, &page["total"]), (expected, &json!(2)), "id and name only: {page}");
    let first = api.get("/api/v1/tenants?limit=1").await.body();
    assert_eq!((names(&first), first["next"].as_str()), (vec!["acme".to_owned()], Some("acme")));
    assert_eq!(names(&api.get("/api/v1/tenants?after=acme").await.body()), ["bolt"]);
    assert_eq!(names(&Guide::of(&api, &acme).get("/tenants?page=1").await.body()), ["acme", "bolt"]);
    for refused in ["search=a", "status=suspended", "plan=free", "sort=name", "queue=true", "statistics=true"]
    {
        problem(&api.get(&format!("/api/v1/tenants?{refused}")).await, 400, "invalid_query");
    }
    let wrong = Guide { bearer: "tk_acme_00000000_wrong".into(), ..Guide::operator(&api) };
    problem(&wrong.get("/tenants?page=1").await, 401, "credentials_invalid");
    problem(&api.get("/api/v1/tenants/acme").await, 401, "credentials_missing");
    assert_eq!(operator.get("/tenants?page=1").await.body()["total"], 4, "the operator sees all of them");
}

#[tokio::test]
async fn an_address_lists_tenants_no_faster_than_it_may_log_in() {
    let api = public(Some(3)).await;
    for _ in 0..3 {
        assert_eq!(api.get("/api/v1/tenants?page=1").await.status, 200);
    }
    problem(&api.get("/api/v1/tenants?page=1").await, 429, "too_many_attempts");
    assert_eq!(Guide::operator(&api).get("/tenants?page=1").await.status, 200);
}

#[tokio::test]
async fn the_operator_adds_members_by_user_id_and_an_admin_invites_them() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    api.tenant("other").await.founder(&api, "ann").await;
    let (operator, guide) = (Guide::operator(&api), Guide::of(&api, &acme));
    for (user, role, identity, expected) in [
        ("ann", "admin", "local:ann", "ADMIN"),
        ("user-17", "Editor", "product:user-17", "EDITOR"),
        ("Bob|x", "member", "product:Bob|x", "EDITOR"),
        ("product:cid", "owner", "product:cid", "ADMIN"),
        ("issuer:https://id/#dan", "viewer_readonly", "issuer:https://id/#dan", "VIEWER_READONLY"),
    ] {
        let added = operator.post("/tenants/acme/members", &json!({ "user_id": user, "role": role })).await;
        assert_eq!((added.status, added.text("/status")), (201, "member".into()), "{added:?}");
        assert_eq!((added.text("/identity"), added.text("/role")), (identity.into(), expected.into()));
        assert_eq!(
            (added.text("/created_by"), added.text("/joined_at")),
            ("operator".into(), "2027-01-15T08:00:00Z".into())
        );
        let location = added.header("location").strip_prefix("/api/v1").unwrap().to_owned();
        assert_eq!(guide.get(&location).await.text("/identity"), identity, "{location}");
        let again = operator.post("/tenants/acme/members", &json!({ "user_id": user, "role": role })).await;
        problem(&again, 409, "member_exists");
    }
    let listed = guide.get("/tenants/acme/members").await.body();
    let users: Vec<_> = listed["members"].as_array().unwrap().iter().map(|one| &one["user_id"]).collect();
    assert_eq!(users, ["issuer:https://id/#dan", "ann", "Bob|x", "cid", "user-17"]);

    let invited = guide.post("/tenants/acme/members", &json!({ "user_id": "Eve", "role": "viewer" })).await;
    assert_eq!((invited.status, invited.text("/status")), (201, "invited".into()), "{invited:?}");
    assert_eq!((invited.text("/user_id"), invited.text("/role")), ("eve".into(), "VIEWER".into()));
    assert!(invited.text("/invitation").starts_with("inv_acme_"), "{invited:?}");
    problem(&guide.get("/tenants/acme/members/eve").await, 404, "not_found");
    let accept =
        json!({ "invitation": invited.text("/invitation"), "username": "eve", "password": "correct horse" });
    assert_eq!(api.post("/api/v1/auth/accept-invitation", &accept).await.status, 200);
    let joined = guide.get("/tenants/acme/members/eve").await;
    assert!(joined.text("/created_by").starts_with("api_key:"), "who invited is who added: {joined:?}");
    problem(
        &guide.post("/tenants/acme/members", &json!({ "user_id": "eve", "role": "ADMIN" })).await,
        409,
        "member_exists",
    );
    let by_operator = json!({ "subject": "fay", "role": "EDITOR" });
    assert_eq!(operator.post("/tenants/acme/members", &by_operator).await.text("/status"), "invited");
}

#[tokio::test]
async fn a_role_is_put_in_any_case_and_a_stranger_is_not_put_by_an_admin() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    acme.member(&api, "product:bob", "VIEWER").await;
    acme.member(&api, "product:root", "ADMIN").await;
    let guide = Guide::of(&api, &acme);
    for (role, expected) in
        [("admin", "ADMIN"), ("EDITOR", "EDITOR"), ("owner", "ADMIN"), ("Member", "EDITOR")]
    {
        let put = guide.put("/tenants/acme/members/bob", &json!({ "role": role })).await;
        assert_eq!((put.status, put.text("/role")), (200, expected.into()), "{role}: {put:?}");
    }
    problem(&guide.put("/tenants/acme/members/bob", &json!({ "role": "root" })).await, 400, "invalid_field");
    problem(&guide.put("/tenants/acme/members/eve", &json!({ "role": "ADMIN" })).await, 404, "not_found");
    problem(&guide.post("/tenants/acme/members", &json!({ "role": "ADMIN" })).await, 400, "invalid_field");
    let odd = guide.post("/tenants/acme/members", &json!({ "user_id": "a b", "role": "ADMIN" })).await;
    problem(&odd, 400, "invalid_field");
    assert_eq!(field_of(&odd), "user_id");
    let late = json!({ "user_id": "eve", "role": "ADMIN", "expires_in_s": 60 });
    problem(&Guide::operator(&api).post("/tenants/acme/members", &late).await, 400, "invalid_field");
    let editor = Guide { bearer: member(&api, &acme, "EDITOR").await, ..Guide::of(&api, &acme) };
    problem(&editor.put("/tenants/acme/members/bob", &json!({ "role": "ADMIN" })).await, 403, "forbidden");
    problem(
        &editor.post("/tenants/acme/members", &json!({ "user_id": "eve", "role": "VIEWER" })).await,
        403,
        "forbidden",
    );
    let foreign = Guide::of(&api, &twin);
    problem(&foreign.put("/tenants/acme-2/members/bob", &json!({ "role": "ADMIN" })).await, 404, "not_found");
    problem(&foreign.delete("/tenants/acme-2/members/bob").await, 404, "not_found");
    assert_eq!(guide.get("/tenants/acme/members/bob").await.text("/role"), "EDITOR");
    assert_eq!(guide.delete("/tenants/acme/members/bob").await.status, 204);
}
