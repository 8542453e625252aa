//! The examples in the help do what they say, exactly as they stand there.

use std::path::Path;
use std::process::Command;

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantContext};
use serde_json::json;
use stores::model::Losses;
use tests::bed::{Bed, TestTenant};
use tests::cli::{Cli, Ran, ran};
use tests::program::output;
use tests::wait::wait_for;

use super::{dead_letter, scheduled_job, waiting_job};

/// Commands that are not clients of the API, whose help has no examples.
const OTHERS: [&str; 11] = [
    "dev",
    "demo",
    "api",
    "worker",
    "migrate",
    "shards",
    "reconcile",
    "keygen",
    "users",
    "completions",
    "help",
];
/// Verbs that change nothing.
const READING: [&str; 8] = ["list", "show", "explain", "limits", "usage", "top", "deliveries", "skills"];

/// The help of a command.
fn help(command: &[&str]) -> String {
    String::from_utf8(output("tenantry", &[command, &["--help"]].concat(), &[]).stdout).unwrap()
}

/// The commands that a help lists, in its order.
fn commands(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// Every example, in the order of the help. Fails where a command has none.
fn examples() -> Vec<String> {
    let whole = help(&[]);
    let mut found = Vec::new();
    let nouns: Vec<_> = commands(&whole).into_iter().filter(|noun| !OTHERS.contains(noun)).collect();
    assert!(nouns.len() > 10, "{whole}");
    for noun in nouns {
        let of_noun = help(&[noun]);
        let verbs = commands(&of_noun);
        let helps = verbs.iter().map(|verb| (vec![noun, *verb], help(&[noun, verb])));
        let own = (verbs.is_empty() || noun == "profile").then(|| (vec![noun], of_noun.clone()));
        let before = found.len();
        for (command, help) in own.into_iter().chain(helps) {
            let start = format!("tenantry {} ", command.join(" "));
            let lines =
                help.lines().map(str::trim).filter(|line| line.starts_with("tenantry ")).map(str::to_owned);
            let lines: Vec<_> = lines.collect();
            let is_own = |line: &String| format!("{line} ").starts_with(&start);
            assert!(noun == "profile" || lines.iter().any(is_own), "{command:?} has no example: {help}");
            found.extend(lines);
        }
        assert!(found.len() > before, "{noun} has no example");
    }
    found
}

/// What examples speak of.
struct World {
    bed: Bed,
    acme: TestTenant,
    cli: Cli,
    folder: tempfile::TempDir,
}

impl World {
    async fn make() -> Self {
        let bed = Bed::embedded().await;
        let acme = bed.provision("acme").await;
        acme.ingest("notes.md", &tests::texts::short("Bluebird")).await;
        let (operator, cli) = (bed.operator(), Cli::bare());
        for (name, key) in [("operator", operator.key()), ("acme", acme.http.key())] {
            let set = ["profile", "set", name, "--url", &bed.url(), "--key", "-", "--tenant", "acme"];
            let _ = cli.run_with(&set, &format!("{key}\n")).await.done();
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("heron.md"), tests::texts::short("Heron")).unwrap();
        Self { bed, acme, cli, folder }
    }

    /// Puts things in place of the words that stand for them.
    async fn filled(&self, example: &str) -> String {
        let path = |rest: &str| format!("/api/v1/tenants/acme/{rest}");
        let nothing = json!({});
        let words: Vec<_> = example.split(' ').collect();
        let has = |word: &str| words.contains(&word);
        let mut filled = example.replace("FOLDER", self.folder.path().to_str().unwrap());
        if has("tail") || has("upload") {
            self.acme.http.post(&path("jobs/cancel-all"), &nothing).await;
            self.acme.http.post(&path("queues/maintenance/resume"), &nothing).await;
        }
        if has("DEAD_JOB") || example.contains("dead-letters list") {
            filled = filled.replace("DEAD_JOB", &dead_letter(&self.acme, "empty.html").await);
        } else if example.contains("jobs reschedule") {
            filled = filled.replace("JOB", &scheduled_job(&self.bed, &self.acme).await);
        } else if has("JOB") || has("top") || example.contains("jobs list") {
            filled = filled.replace("JOB", &waiting_job(&self.acme).await);
        }
        if has("BATCH") {
            let sent = self.acme.upload("batch.md", &tests::texts::short("Lantern")).await;
            filled = filled.replace("BATCH", sent.body["batch_id"].as_str().unwrap());
        }
        if has("WORKER") {
            let listed = self.bed.operator().get("/api/v1/workers").await;
            filled = filled.replace("WORKER", listed.body["workers"][0]["id"].as_str().unwrap());
        }
        if has("KEY") {
            let name = format!("key {}", self.bed.now());
            let made = self.acme.http.post(&path("api-keys"), &json!({ "name": name })).await;
            filled = filled.replace("KEY", made.body["id"].as_str().unwrap());
        }
        if has("WEBHOOK") {
            let new = json!({ "url": "https://127.0.0.1:1/", "events": ["job.failed"] });
            let made = self.acme.http.post(&path("webhooks"), &new).await;
            let id = made.body["id"].as_str().unwrap().to_owned();
            let event = self.acme.http.post(&path(&format!("webhooks/{id}/test")), &nothing).await;
            filled = filled.replace("WEBHOOK", &id);
            filled = filled.replace("EVENT", event.body["event_id"].as_str().unwrap());
        }
        if has("notes.md") && self.acme.document("notes.md").await.status == 404 {
            self.acme.ingest("notes.md", &tests::texts::short("Bluebird")).await;
        }
        if example.starts_with("tenantry documents retry") {
            self.partial("notes.md").await;
        }
        if example.starts_with("tenantry schedules") {
            let body = json!({ "cron": "0 4 * * *", "time_zone": "UTC", "type": "kb.reindex" });
            let put = self.acme.http.request(reqwest::Method::PUT, &self.acme.kb("schedules/nightly"));
            assert_eq!(tests::bed::send(put.json(&body)).await.status, 200);
        }
        filled
    }

    /// Makes a document one of which a chunk gave nothing.
    async fn partial(&self, name: &str) {
        let stores = self.bed.stores().scoped(&TenantContext::for_tests(&self.acme.id));
        let (catalog, kb, id) = (stores.catalog(), KbId::first(), DocumentId::of_name(name));
        let document = catalog.document(&kb, &id).await.unwrap().unwrap();
        let losses = Losses { chunks_failed: 1, ..Losses::default() };
        let built = (document.counts, &losses);
        assert!(catalog.document_built(&kb, &id, document.revision, built, self.bed.now()).await.unwrap());
    }

    /// Types a line into a shell.
    async fn typed(&self, line: &str) -> Ran {
        // The operator's key reaches no data of a tenant and steers no single job.
        let of_data =
            ["kbs", "documents", "batches", "schedules", "jobs", "dead-letters", "keys", "webhooks"]
                .iter()
                .any(|noun| line.starts_with(&format!("tenantry {noun}")));
        let steers = ["pause", "resume", "drain"]
            .iter()
            .any(|verb| line.starts_with(&format!("tenantry queues {verb}")));
        let mut bash = Command::new("bash");
        self.cli.equip(&mut bash);
        let program = self.cli.command();
        let folder = Path::new(program.get_program()).parent().unwrap();
        let paths = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        bash.args(["-c", line]).env("PATH", paths);
        bash.env(
            "TENANTRY_PROFILE",
            if of_data || steers && !line.contains("--all-tenants") { "acme" } else { "operator" },
        );
        for name in ["TENANTRY_URL", "TENANTRY_KEY", "REDIS_URL"] {
            bash.env_remove(name);
        }
        ran(bash, Some("a-key\n".to_owned())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_works_as_it_stands() {
    let world = World::make().await;
    let examples = tokio::task::spawn_blocking(examples).await.unwrap();
    assert!(examples.len() > 50, "{examples:#?}");
    for example in examples {
        let line = world.filled(&example).await;
        let ran = world.typed(&line).await;
        assert_eq!(ran.code, 0, "{example}\n{}\n{}", ran.out, ran.err);
        if READING.iter().any(|verb| example.contains(&format!(" {verb}"))) && !example.contains("--output") {
            assert!(!ran.out.trim().is_empty() || ran.err == "none\n", "{example} shows nothing");
            let json = world.typed(&format!("{line} --output json")).await.done().json();
            let lists = [" list", " top", " deliveries", " skills"].iter().any(|verb| example.contains(verb));
            let is_list = lists && !example.contains(" EVENT");
            assert_eq!(json.is_array(), is_list, "{example}: {json}");
        }
        if example.contains("tenants create birch") {
            active(&world.bed, "birch").await;
        }
    }
}

async fn active(bed: &Bed, tenant: &str) {
    wait_for("the tenant to be active", async || {
        let answer = bed.operator().get(&format!("/api/v1/tenants/{tenant}")).await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
}
