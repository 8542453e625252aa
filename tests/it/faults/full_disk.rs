//! A disk that is full for a while: requests are answered 503, jobs wait, and with room again everything goes on
//! without a restart.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jobs::Job as _;
use jobs::queue::Flow;
use jobs::tenant::TenantId;
use jobs::types::IngestDocument;
use reqwest::Method;
use serde_json::{Value, json};
use tests::bed::{Bed, TestTenant};
use tests::wait::wait_for;

/// A file system of 32 MB in memory, which takes root to mount.
pub(super) struct SmallDisk {
    mount: tempfile::TempDir,
}

impl SmallDisk {
    pub(super) fn mount() -> Option<Self> {
        let mount = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs"]).arg(mount.path());
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self { mount })
    }

    fn ballast(&self) -> PathBuf {
        self.mount.path().join("ballast")
    }

    /// Leaves no room for another page.
    pub(super) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        for size in [1 << 20, 1 << 16, 1 << 12] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.ballast()).expect("the ballast is there");
    }

    pub(super) fn path(&self) -> &Path {
        self.mount.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Uploads until the disk is so full that one is refused, and returns the names that were taken.
async fn upload_until_refused(disk: &SmallDisk, acme: &TestTenant) -> Vec<String> {
    let mut taken = Vec::new();
    for number in 0.. {
        disk.fill();
        let name = format!("full-{number}.md");
        let body = json!({ "name": name, "text": "Ada Lovelace met Bob Stone. ".repeat(2_000) });
        let request = acme.http.request(Method::POST, &acme.kb("documents/text")).json(&body);
        let answer = request.send().await.expect("the API answers");
        if answer.status() == 202 {
            taken.push(name);
            continue;
        }
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], "unavailable", "{problem}");
        break;
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_room_again_everything_goes_on() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: no file system can be mounted here; run the test as root");
        return;
    };
    let bed = Bed::embedded_in(tempfile::tempdir_in(disk.path()).expect("a directory")).await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("before.md", "Ada Lovelace met Bob Stone.").await;
    let id: TenantId = acme.id.parse().expect("a tenant id");
    let queue = bed.queue();
    queue.partition_queue_set(&id, IngestDocument::QUEUE, Flow::Paused).await.expect("the queue answers");
    let text = "Ada Lovelace met Bob Stone in London. ".repeat(8_000);
    let waiting = acme.upload("waiting.md", &text).await;
    assert_eq!(waiting.status, 202, "{waiting:?}");
    let taken = upload_until_refused(&disk, &acme).await;

    queue.partition_queue_set(&id, IngestDocument::QUEUE, Flow::Open).await.expect("the queue answers");
    let job = waiting.location.expect("where the job is shown");
    let parked = wait_for("the job to wait for the store", async || {
        let answer = acme.http.get(&job).await;
        if answer.body["state"] == "parked" { Ok(answer.body) } else { Err(answer) }
    })
    .await;
    assert_eq!(acme.document("waiting.md").await.body["status"], "pending", "{parked}");

    disk.empty();
    for name in taken.iter().map(String::as_str).chain(["waiting.md"]) {
        let document = acme.settled(name).await;
        assert_eq!(document["status"], "processed", "{document}");
    }
    acme.ingest("after.md", "Zoe Miller met Ada Lovelace.").await;
    other.ingest("after.md", "Zoe Miller met Ada Lovelace.").await;
    let dead = acme.http.get(&format!("/api/v1/tenants/{}/dead-letters", acme.id)).await;
    assert_eq!(dead.body["jobs"], json!([]), "{dead:?}");
}
