//! What an earlier release wrote is there, and works, after the upgrade. README.md beside this says what it is.

use std::path::{Path, PathBuf};

use jobs::DocumentId;
use reqwest::Method;
use serde_json::{Value, json};
use stores::direct::{DirectPostgres, DirectSqlite};
use tests::bed::{Answer, Bed, Http, TestTenant, send};
use tests::services::Scratch;
use tests::wait::wait_for;
use walkdir::WalkDir;

fn before() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/upgraded/1f66e93")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(before().join(name)).unwrap()
}

fn parsed(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// A data directory with the secrets and originals.
fn data() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::copy(before().join("secrets.env"), data.path().join("secrets.env")).unwrap();
    for entry in WalkDir::new(before().join("blobs")) {
        let entry = entry.unwrap();
        let to = data.path().join(entry.path().strip_prefix(before()).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    data
}

async fn restore(path: &Path, dump: &str) {
    let mut file = DirectSqlite::open(path).await.unwrap();
    file.execute(&text(dump)).await.unwrap();
    file.close().await.unwrap();
}

#[tokio::test]
async fn the_files_of_an_earlier_release_are_taken_over() {
    let data = data();
    std::fs::create_dir(data.path().join("tenants")).unwrap();
    for (file, dump) in
        [("catalog.db", "catalog.sql"), ("tenants/acme.db", "acme.sql"), ("tenants/birch.db", "birch.sql")]
    {
        restore(&data.path().join(file), dump).await;
    }
    let bed = Bed::embedded_in(data).await;
    let site = Site::of(&bed, "embedded");
    assert_eq!(site.graph().await, parsed("graph.json"));
    site.is_whole().await;
    site.goes_on().await;
    let mut catalog = DirectSqlite::open(&bed.data_dir().join("catalog.db")).await.unwrap();
    assert_answers(&catalog.texts("select body from idempotency").await.unwrap());
    catalog.close().await.unwrap();
}

/// Its texts and graph were in MongoDB and Neo4j, so they are not in this dump: a reindex makes them again.
#[tokio::test]
async fn the_postgres_of_an_earlier_release_is_taken_over() {
    let database = Scratch::create().await;
    database.execute(&text("postgres.sql")).await;
    database.migrate().await;
    let bed = Bed::on_postgres(data(), &database).await;
    let site = Site::of(&bed, "postgres");
    site.is_whole().await;
    site.goes_on().await;
    let owner = DirectPostgres::connect(&database.urls.postgres_admin).await.unwrap();
    let enter = "select set_config('app.tenant_id', 'acme', true)";
    let rows = owner.rows(enter, "select body from idempotency").await.unwrap();
    assert_answers(&rows.iter().map(|row| row["body"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    owner.close().await;
    drop(bed);
    database.drop().await;
}

/// Answers from before hold no names any more, and are the same but for that.
fn assert_answers(bodies: &[String]) {
    let bodies: Vec<Value> = bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let made =
        bodies.iter().find(|body| body["id"] == "papers").expect("the knowledge base was made under a key");
    assert_eq!((&made["name"], &made["location"]), (&Value::Null, &json!("/api/v1/tenants/acme/kbs/papers")));
    let batch = bodies.iter().find(|body| body["documents"].is_array()).expect("so were documents");
    for (at, name) in ["Quietwater.md", "second.md"].iter().enumerate() {
        let document = &batch["documents"][at];
        let id = DocumentId::of_name(name);
        assert_eq!((&document["name"], &document["document_id"]), (&Value::Null, &json!(id.as_str())));
        assert_eq!(document["revision"], 1);
    }
    let tenant = bodies.iter().find(|body| body["tenant"]["id"] == "acme");
    assert!(tenant.is_none_or(|body| body["tenant"]["name"] == "Acme Ltd"), "it goes with its tenant");
}

/// The system that has taken over, as its callers see it.
struct Site<'a> {
    bed: &'a Bed,
    keys: Value,
    acme: TestTenant,
}

impl<'a> Site<'a> {
    fn of(bed: &'a Bed, set: &str) -> Self {
        let keys = parsed("keys.json")[set].take();
        let http = Http::new(&bed.url(), keys["acme"].as_str().unwrap());
        Self { bed, keys, acme: TestTenant { id: "acme".to_owned(), http } }
    }

    fn with(&self, key: &str) -> Http {
        Http::new(&self.bed.url(), self.keys[key].as_str().unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.acme.http.get(&format!("/api/v1/tenants/acme{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    async fn graph(&self) -> Value {
        self.get("/kbs/default/graph").await
    }

    /// Everything that was written is shown as it was.
    async fn is_whole(&self) {
        self.tenants_are_there().await;
        self.documents_are_there().await;
        self.keys_work().await;
        self.members_are_there().await;
        let settings = self.get("/settings").await;
        assert_eq!((&settings["chunk_size_tokens"], &settings["top_k"]), (&json!(200), &json!(7)));
        let limits = self.get("/limits").await;
        assert_eq!(limits["limits"]["max_documents"], 50, "{limits}");
        let schedules = self.get("/kbs/default/schedules").await;
        let yearly = &schedules["schedules"][0];
        assert_eq!((&yearly["name"], &yearly["type"]), (&json!("yearly"), &json!("kb.reindex")));
        assert_eq!((&yearly["cron"], &yearly["time_zone"]), (&json!("0 3 1 1 *"), &json!("Europe/Berlin")));
    }

    async fn tenants_are_there(&self) {
        let operator = self.bed.operator();
        let acme = operator.get("/api/v1/tenants/acme").await.body;
        assert_eq!((&acme["name"], &acme["slug"]), (&json!("Acme Ltd"), &json!("acme-works")), "{acme}");
        assert_eq!((&acme["plan"], &acme["status"]), (&json!("pro"), &json!("active")), "{acme}");
        assert_eq!(operator.get("/api/v1/tenants/birch").await.body["status"], "active");
        assert_eq!(operator.get("/api/v1/tenants/gone").await.status, 404);
        let again = operator.post("/api/v1/tenants", &json!({ "id": "gone", "name": "Usurper" })).await;
        assert_eq!((again.status, &again.body["code"]), (409, &json!("tenant_exists")), "its id stays taken");
    }

    async fn documents_are_there(&self) {
        let kbs = self.get("/kbs").await;
        let names =
            |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&kbs["kbs"]), ["Default", "Papers of Acme"]);
        let shown = async |name: &str| {
            let document = self.acme.document(name).await.body;
            let parts = ["name", "status", "revision"].map(|part| document[part].clone());
            (parts, document["counts"].clone(), document["error"]["code"].clone(), document["job_id"].clone())
        };
        let counts = |entities: u32, relations: u32| {
            let chunks = u32::from(entities > 0);
            json!({ "chunks": chunks, "entities": entities, "relations": relations })
        };
        for (name, status, revision, counts, error) in [
            ("empty.html", "failed", 1, counts(0, 0), json!("empty_document")),
            ("kestrel.txt", "processed", 2, counts(4, 2), Value::Null),
            ("notes/heron.md", "processed", 1, counts(4, 4), Value::Null),
        ] {
            let (parts, found, code, job) = shown(name).await;
            assert_eq!(parts, [json!(name), json!(status), json!(revision)]);
            assert_eq!((found, code), (counts, error), "{name}");
            let job = self.get(&format!("/jobs/{}", job.as_str().unwrap())).await;
            assert_eq!(job["type"], "document.ingest", "{job}");
        }
        assert_eq!(self.acme.document("deleted.md").await.status, 404);
        let papers = self.get("/kbs/papers/documents").await;
        assert!(names(&papers["documents"]).contains(&json!("Quietwater.md")), "{papers}");
    }

    async fn keys_work(&self) {
        let papers = "/api/v1/tenants/acme/kbs/papers/documents";
        let (reader, rotated) = (self.with("reader"), self.with("rotated"));
        assert_eq!(reader.get(papers).await.status, 200);
        assert_eq!(reader.get(&self.acme.kb("documents")).await.status, 404, "of another knowledge base");
        assert_eq!(self.with("revoked").get(papers).await.status, 401);
        assert_eq!(rotated.get(papers).await.status, 200);
        let upload =
            rotated.post(&self.acme.kb("documents/text"), &json!({ "name": "a.md", "text": "x" })).await;
        assert_eq!((upload.status, &upload.body["code"]), (403, &json!("forbidden")), "it may only read");
    }

    async fn log_in(&self, tenant: &str) -> Answer {
        let ann = json!({ "username": "ann", "password": "correct horse", "tenant_id": tenant });
        Http::new(&self.bed.url(), "none").post("/api/v1/auth/login", &ann).await
    }

    /// The bare name `ann` was that of an account, so the account is the member; `cid` is still whom tokens name.
    async fn members_are_there(&self) {
        let members = self.get("/members").await;
        let members: Vec<_> = members["members"].as_array().unwrap().iter().collect();
        let shown: Vec<_> = members.iter().map(|member| (&member["identity"], &member["role"])).collect();
        let expected = [(json!("local:ann"), json!("EDITOR")), (json!("user:cid"), json!("VIEWER"))];
        assert_eq!(shown, expected.iter().map(|(identity, role)| (identity, role)).collect::<Vec<_>>());
        for (tenant, role) in [("acme", "EDITOR"), ("birch", "ADMIN")] {
            let answer = self.log_in(tenant).await;
            assert_eq!((answer.status, &answer.body["role"]), (200, &json!(role)), "{answer:?}");
            let ann = Http::new(&self.bed.url(), answer.body["access_token"].as_str().unwrap());
            assert_eq!(ann.get(&format!("/api/v1/tenants/{tenant}/kbs")).await.status, 200);
        }
    }

    /// Work that had begun ends, and new work is done.
    async fn goes_on(&self) {
        let waiting =
            format!("/api/v1/tenants/acme/kbs/papers/documents/{}", DocumentId::of_name("waiting.md"));
        wait_for("the upload that waited to be processed", async || {
            let answer = self.acme.http.get(&waiting).await;
            if answer.body["status"] == "processed" { Ok(()) } else { Err(answer) }
        })
        .await;
        let reindex = send(self.acme.http.request(Method::POST, &self.acme.kb("reindex"))).await;
        assert_eq!(reindex.status, 202, "{reindex:?}");
        self.bed.run_until_empty(&self.acme).await;
        assert_eq!(self.graph().await, parsed("graph.json"));

        let replaced = self.acme.upload("kestrel.txt", "Grace Hopper came back to Kestrel Labs.").await;
        assert_eq!(replaced.body["documents"][0]["revision"], 3, "{replaced:?}");
        assert_eq!(self.acme.settled("kestrel.txt").await["status"], "processed");
        let path = "/api/v1/tenants/acme/kbs/papers";
        assert_eq!(send(self.acme.http.request(Method::DELETE, path)).await.status, 202);
        self.bed.run_until_empty(&self.acme).await;
        assert_eq!(self.acme.http.get(path).await.status, 404);
        assert_eq!(
            self.with("reader").get(&format!("{path}/documents")).await.status,
            401,
            "its key ends too"
        );
    }
}
