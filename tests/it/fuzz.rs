//! Thousands of requests, good and bad, that Schemathesis makes out of the API's own description. `make fuzz` brings
//! it along, and so does `make test`.

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use tests::bed::{Bed, Http, Snapshot, TestTenant, servers};
use tokio::process::Command;

/// How many requests are generated for each operation, beside those that test each limit in its schema.
const EXAMPLES: &str = "5";

/// Whether a good request was refused, or a bad one with the right one of two codes, is for tests of ours.
const NOT_CHECKED: &str = "positive_data_acceptance,negative_data_rejection";

/// A person who is a member.
const MEMBER: &str = "product:fuzz";

/// The same operations under their short paths, which differ in how the tenant is found.
const LEFT_OUT: &str = "^own_";

#[tokio::test]
#[ignore = "needs Schemathesis: make fuzz"]
async fn embedded_stores_withstand_it() {
    withstands(&Bed::embedded().await).await;
}

#[tokio::test]
#[ignore = "needs Schemathesis and servers: make fuzz"]
async fn servers_withstand_it() {
    withstands(servers().await).await;
}

/// No request makes the API fail or answer outside its description, and other tenants are not affected.
async fn withstands(bed: &Bed) {
    let (mine, theirs) = bed.look_alikes().await;
    let operator = bed.operator();
    unlimited(&operator, &mine).await;
    theirs.upload("secret.md", "Ada Lovelace met Charles Babbage in London.").await;
    theirs.settled("secret.md").await;
    let before = Snapshot::of(bed.stores(), &theirs.id).await;
    let member = format!("/api/v1/tenants/{}/members/{MEMBER}", mine.id);
    let put = operator.request(Method::PUT, &member).json(&json!({ "role": "VIEWER" }));
    assert_eq!(put.send().await.unwrap().status(), 200);
    for who in [&mine.http, &operator] {
        fuzz(&bed.url(), who, &mine).await;
    }
    let after = Snapshot::of(bed.stores(), &theirs.id).await;
    assert_eq!(after.documents, before.documents);
    assert_eq!(after.entities, before.entities);
    assert_eq!(after.relations, before.relations);
}

/// Requests that are refused because there were too many say little.
async fn unlimited(operator: &Http, tenant: &TestTenant) {
    let path = format!("/api/v1/tenants/{}", tenant.id);
    let request = operator.request(Method::PATCH, &path).json(&json!({ "plan": "standard" }));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn fuzz(url: &str, who: &Http, tenant: &TestTenant) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("schemathesis.toml");
    tokio::fs::write(&config, configuration(tenant)).await.unwrap();
    let output = schemathesis(&config)
        .args(["run", &format!("{url}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {}", who.key())])
        .args(["--max-examples", &std::env::var("EXAMPLES").unwrap_or(EXAMPLES.to_owned())])
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--exclude-checks", NOT_CHECKED])
        .args(["--exclude-operation-id-regex", LEFT_OUT])
        .args(["--continue-on-failure", "--warnings", "off"])
        .current_dir(directory.path())
        .output()
        .await
        .expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("No issues found"), "{said}");
}

fn schemathesis(config: &Path) -> Command {
    let installed =
        std::env::var("SCHEMATHESIS").expect("SCHEMATHESIS is the directory of Schemathesis: make fuzz");
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", installed)
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(config);
    command
}

/// Names what there is, so that requests get beyond "not found". What ends it is asked for something else.
fn configuration(tenant: &TestTenant) -> String {
    format!(
        r#"
[parameters]
"path.tenant" = "{}"
"path.kb" = "default"
"path.identity" = "{MEMBER}"

[[operations]]
include-operation-id = "tenants_delete"
parameters = {{ "path.tenant" = "nobody" }}

[[operations]]
include-operation-id = "kbs_delete"
parameters = {{ "path.kb" = "nothing" }}
"#,
        tenant.id
    )
}
