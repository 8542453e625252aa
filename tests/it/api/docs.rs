//! The API describes itself. That the description is complete is tested where it is made.

use tests::api::Api;

#[tokio::test]
async fn the_description_is_open_to_everybody() {
    let api = Api::start().await;
    let reply = api.get("/openapi.json").await;
    assert_eq!((reply.status, &reply.body()["openapi"]), (200, &"3.1.0".into()));
    let upload = &reply.body()["paths"]["/api/v1/tenants/{tenant}/kbs/{kb}/documents"]["post"];
    assert_eq!(upload["operationId"], "documents_upload_files");
    let problem = upload["responses"]["429"]["$ref"].as_str().unwrap();
    assert_eq!(problem, "#/components/responses/TooManyRequests");
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
