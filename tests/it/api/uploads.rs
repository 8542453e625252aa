use futures::future::join_all;
use jobs::plan::Plans;
use jobs::tenant::KbId;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, send};
use tests::wait::wait_for;
use walkdir::WalkDir;

#[tokio::test]
async fn an_upload_is_stored_registered_and_enqueued() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let before = api.queued("acme").await["open"].as_u64().unwrap();
    let reply = acme.upload_files(&[("guide.md", b"# Guide"), ("help/faq.html", b"<p>FAQ</p>")]).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let body = reply.body();
    assert_eq!(body["documents"].as_array().unwrap().len(), 2);
    assert_eq!(reply.header("location"), format!("/api/v1/tenants/acme/jobs/{}", reply.text("/job_id")));
    assert_eq!(body["job_id"], body["documents"][0]["job_id"]);
    assert_eq!(api.queued("acme").await["open"], before + 2);
    assert_eq!(api.outbox_len().await, 0, "what the queue has must not stay in the outbox");
    let kb = KbId::first();
    for (name, media_type, content) in
        [("guide.md", "text/markdown", "# Guide"), ("help/faq.html", "text/html", "<p>FAQ</p>")]
    {
        let id = jobs::DocumentId::of_name(name);
        let shown = acme.get(&format!("/kbs/default/documents/{id}")).await.body();
        assert_eq!((shown["name"].as_str(), shown["media_type"].as_str()), (Some(name), Some(media_type)));
        assert_eq!((&shown["status"], &shown["revision"]), (&json!("pending"), &json!(1)));
        let original = acme.stores.blobs().original(&kb, &id, shown["sha256"].as_str().unwrap()).await;
        assert_eq!(original.unwrap().unwrap(), content.as_bytes());
    }
}

/// The originals on disk, by size.
fn originals(api: &Api) -> Vec<u64> {
    let entries = WalkDir::new(api.data_dir().join("blobs")).into_iter().filter_map(Result::ok);
    let mut sizes: Vec<_> = entries
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .collect();
    sizes.sort_unstable();
    sizes
}

/// Thirty at once pass the first look at the quota together; two are registered.
#[tokio::test]
async fn originals_of_refused_and_of_replaced_uploads_go() {
    let plans = Plans::parse("[plan.two]\nmax_documents = 2").unwrap();
    let api = Api::with(ApiOptions { plans, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let path = "/api/v1/tenants/acme";
    assert_eq!(send(api.operator(Method::PATCH, path).json(&json!({ "plan": "two" }))).await.status, 200);
    let texts: Vec<_> = (0..30).map(|number| (format!("{number}.md"), format!("{number:03}"))).collect();
    let replies = join_all(texts.iter().map(|(name, text)| acme.upload_text(name, text))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 2);
    let left = async |sizes: &[u64]| {
        wait_for("the other originals to go", async || {
            let found = originals(&api);
            if found == sizes { Ok(()) } else { Err(found) }
        })
        .await;
    };
    left(&[3, 3]).await;
    let listed = acme.get("/kbs/default/documents").await.body();
    let known = listed["documents"][0]["name"].as_str().unwrap();
    for text in ["longer", "longer still"] {
        assert_eq!(acme.upload_text(known, text).await.status, 202);
    }
    left(&[3, 12]).await;
    let usage = acme.get("/usage").await.body();
    assert_eq!(usage["quotas"]["storage_bytes"]["current"], 15);
}

#[tokio::test]
async fn the_same_name_again_is_the_next_revision() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let first = acme.upload_text("notes", "one").await;
    let second = acme.upload_text("notes", "two").await;
    assert_eq!(first.text("/documents/0/document_id"), second.text("/documents/0/document_id"));
    assert_eq!(second.body()["documents"][0]["revision"], 2);
    let listed = acme.get("/kbs/default/documents").await.body();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 1);
    assert_eq!(listed["documents"][0]["job_id"], second.body()["job_id"]);
    assert_eq!(listed["documents"][0]["media_type"], "text/plain");
}

#[tokio::test]
async fn many_at_once_under_one_name_are_all_counted() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let texts: Vec<String> = (0..4).map(|number| format!("text {number}")).collect();
    let replies = futures::future::join_all(texts.iter().map(|text| acme.upload_text("notes", text))).await;
    let mut revisions: Vec<u64> =
        replies.iter().map(|reply| reply.body()["documents"][0]["revision"].as_u64().unwrap_or(0)).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2, 3, 4], "{replies:?}");
}

#[tokio::test]
async fn names_beyond_ascii_arrive_as_they_are() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let reply = acme.upload_files(&[("Bücher/日本語 1.md", b"text")]).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.text("/documents/0/name"), "Bücher/日本語 1.md");
    // Decomposed, as some systems send it: the same document.
    let again = acme.upload_text("Bu\u{308}cher/日本語 1.md", "text").await;
    assert_eq!(again.body()["documents"][0]["revision"], 2, "{again:?}");
}

#[tokio::test]
async fn tenants_do_not_share_documents_of_one_name() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    acme.upload_text("notes", "mine").await;
    let theirs = other.upload_text("notes", "theirs").await;
    assert_eq!(theirs.body()["documents"][0]["revision"], 1);
    let listed = acme.get("/kbs/default/documents").await.body();
    assert_eq!(listed["documents"][0]["size_bytes"], 4);
}

#[tokio::test]
async fn the_trace_of_the_request_goes_on_in_the_job() {
    let mut redis = fair_queue::testing::RedisServer::start(&[]).unwrap();
    let options = tests::api::ApiOptions { redis_url: Some(redis.url()), ..Default::default() };
    let api = Api::with(options).await;
    let acme = api.tenant("acme").await;
    // The outbox shows the envelope as long as the queue does not answer.
    redis.stop().unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let body = json!({ "name": "a.md", "text": "x" });
    let request = acme.request(Method::POST, "/kbs/default/documents/text").json(&body);
    let reply = send(request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let wire =
        acme.stores.catalog().outbox_job(reply.text("/job_id").parse().unwrap()).await.unwrap().unwrap();
    assert!(wire.contains(&format!("00-{trace}-")), "{wire}");
    assert!(!wire.contains("00f067aa0ba902b7"), "the job is a span of its own: {wire}");
}

/// What stands in `filename` beside it is a makeshift: the same for every name that a client cannot write there.
#[tokio::test]
async fn the_extended_file_name_wins() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let upload = async |disposition: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=file; {disposition}\r\n\r\ntext\r\n--b--\r\n"
        );
        let request = acme.request(Method::POST, "/kbs/default/documents").body(body);
        let reply = send(request.header("content-type", "multipart/form-data; boundary=b")).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.text("/documents/0/name")
    };
    for (star, name) in [("%E6%96%87%E6%A1%A3.txt", "文档.txt"), ("%E5%A0%B1%E5%91%8A.txt", "報告.txt")] {
        assert_eq!(upload(&format!("filename=\"__.txt\"; filename*=utf-8''{star}")).await, name);
    }
    // As .NET sends it: the same document once more.
    let dotnet = "filename=\"=?utf-8?B?5paH5qGjLnR4dA==?=\"; filename*=utf-8''%E6%96%87%E6%A1%A3.txt";
    assert_eq!(upload(dotnet).await, "文档.txt");
    let listed = acme.get("/kbs/default/documents").await.body();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 2);
}
