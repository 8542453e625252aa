//! Embedded stores beyond the conformance suite: several processes on one directory, and its permissions.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jobs::DocumentId;
use jobs::clock::{Clock as _, SystemClock};
use jobs::queue::RedisServer;
use jobs::tenant::{KbId, TenantContext, TenantId, TenantStatus};
use stores::model::{Acceptance, Accepted, Mention, MentionKind, NewTenant, ParsedDocument, WorkspaceId};
use stores::{Backends, InvalidStores, Opened, StoresConfig};

/// A process that sees a change within this time got an invalidation message: the TTL is five seconds.
const HEARD: Duration = Duration::from_secs(4);

fn config(directory: &Path, redis: &RedisServer) -> StoresConfig {
    StoresConfig {
        backends: Backends::Embedded,
        blobs_url: None,
        data_dir: directory.join("data"),
        redis_url: redis.url().into(),
    }
}

async fn open(directory: &Path, redis: &RedisServer) -> Opened {
    stores::open(&config(directory, redis), Arc::new(SystemClock)).await.unwrap()
}

async fn tenant(opened: &Opened, id: &str) -> TenantContext {
    let context = TenantContext::for_tests(id);
    let new = NewTenant::new(id, "free");
    let acceptance = Acceptance { tenant: Some(new), ..Acceptance::default() };
    let accepted = opened.stores.scoped(&context).catalog().accept(&acceptance, SystemClock.now()).await;
    assert_eq!(accepted.unwrap(), Accepted::New);
    context
}

async fn status(opened: &Opened, id: &TenantId) -> TenantStatus {
    opened.directory.tenant(id).await.unwrap().unwrap().status
}

/// Changes the tenant in one process until the other one sees a change before its cached answer expires.
async fn invalidations_arrive(here: &Opened, there: &Opened, context: &TenantContext) -> bool {
    let catalog = here.stores.scoped(context).catalog();
    let (mut from, mut to) = (status(here, context.tenant_id()).await, TenantStatus::Suspended);
    if from == to {
        to = TenantStatus::Active;
    }
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(status(there, context.tenant_id()).await, from);
        assert!(catalog.tenant_status_move(from, to).await.unwrap());
        while status(there, context.tenant_id()).await != to {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if asked.elapsed() < HEARD {
            return true;
        }
        std::mem::swap(&mut from, &mut to);
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_processes_hear_of_a_change_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let here = open(directory.path(), &redis).await;
    let there = open(directory.path(), &redis).await;
    let context = tenant(&here, "acme").await;
    assert!(invalidations_arrive(&here, &there, &context).await);

    // Without Redis there are no invalidation messages, and answers are cached for a second only.
    drop(redis);
    let catalog = here.stores.scoped(&context).catalog();
    let from = status(&here, context.tenant_id()).await;
    assert!(catalog.tenant_status_move(from, TenantStatus::Deprovisioning).await.unwrap());
    let changed = Instant::now();
    while status(&there, context.tenant_id()).await != TenantStatus::Deprovisioning {
        assert!(changed.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !invalidations_arrive(&here, &there, &context).await {
        assert!(Instant::now() < deadline, "no invalidation since redis is back");
    }
    drop(redis);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_of_two_processes_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let (one, two) = tokio::join!(open(directory.path(), &redis), open(directory.path(), &redis));
    let context = tenant(&one, "acme").await;
    let now = SystemClock.now();
    let catalog = one.stores.scoped(&context).catalog();
    let kb = catalog.kb_ensure(&KbId::first(), "Papers", &WorkspaceId::generate(now, 1), now).await.unwrap();

    let writers = (0..64).map(|n| {
        let process = if n % 2 == 0 { &one } else { &two };
        let (stores, kb) = (process.stores.scoped(&context), kb.clone());
        tokio::spawn(async move {
            let name = format!("{n}.md");
            let document = DocumentId::of_name(&name);
            let kind = MentionKind::Entity { name: "Curie".into(), entity_type: "person".into() };
            let mention = Mention { kind, chunk_id: document.chunk_id(0), description: name.clone() };
            stores.index().graph_replace(&kb, &document, &name, &[mention]).await.unwrap();
            let id: KbId = format!("kb-{n}").parse().unwrap();
            let workspace = WorkspaceId::generate(now, n + 100);
            stores.catalog().kb_ensure(&id, &name, &workspace, now).await.unwrap();
        })
    });
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    let entities = two.stores.scoped(&context).index().entities(&kb, None, 10).await.unwrap().items;
    assert_eq!(entities[0].source_id.split("<SEP>").count(), 64);
    assert_eq!(two.stores.scoped(&context).catalog().kbs().await.unwrap().len(), 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_tenants_than_open_files_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let opened = open(directory.path(), &redis).await;
    let (kb, document) = (KbId::first(), DocumentId::of_name("a.md"));
    let text = |n: u32| ParsedDocument { revision: 1, title: None, text: format!("of tenant {n}") };
    let documents = |n: u32| opened.stores.scoped(&TenantContext::for_tests(&format!("t{n}"))).documents();
    let written = (0..80).map(|n| {
        let (documents, kb, document, text) = (documents(n), kb.clone(), document.clone(), text(n));
        tokio::spawn(async move { documents.parsed_put(&kb, &document, &text).await.unwrap() })
    });
    join_all(written).await.into_iter().for_each(Result::unwrap);
    for n in 0..80 {
        assert_eq!(documents(n).parsed(&kb, &document).await.unwrap(), Some(text(n)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_else_may_look_into_the_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let opened = open(directory.path(), &redis).await;
    let context = tenant(&opened, "acme").await;
    let blobs = opened.stores.scoped(&context).blobs();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let (kb, document) = (KbId::first(), DocumentId::of_name("a.md"));
    blobs.original_put(&kb, &document, empty, bytes::Bytes::new()).await.unwrap();
    opened.stores.scoped(&context).documents().provision().await.unwrap();

    let data = directory.path().join("data");
    for inner in ["", "tenants", "blobs"] {
        let mode = std::fs::metadata(data.join(inner)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{inner}");
    }
    for folder in [data.clone(), data.join("tenants")] {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", entry.path().display());
        }
    }
    assert!(data.join("tenants/acme.db").exists());
}

#[tokio::test]
async fn a_setting_that_does_not_work_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let failing = async |config: &StoresConfig| match stores::open(config, Arc::new(SystemClock))
        .await
        .map(drop)
        .unwrap_err()
    {
        InvalidStores::Setting { setting, .. }
        | InvalidStores::Unreachable { setting, .. }
        | InvalidStores::NotIsolated { setting, .. } => setting,
    };
    let good = config(directory.path(), &redis);
    std::fs::write(directory.path().join("file"), "").unwrap();
    let data_dir = directory.path().join("file/inner");
    assert_eq!(failing(&StoresConfig { data_dir, ..good.clone() }).await, "TENANTRY_DATA_DIR");
    let blobs_url = Some("ftp://bucket".to_owned());
    assert_eq!(failing(&StoresConfig { blobs_url, ..good.clone() }).await, "TENANTRY_BLOBS_URL");
    let redis_url = "http://nowhere".to_owned().into();
    assert_eq!(failing(&StoresConfig { redis_url, ..good.clone() }).await, "REDIS_URL");
    drop(redis);
    assert_eq!(failing(&good).await, "REDIS_URL");
}

/// Whether a file below `directory` contains `word`.
fn holds(directory: &Path, word: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, word);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(word.len()).any(|part| part == word.as_bytes())
    })
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The server's files are in the data directory, so it belongs to this process.
#[tokio::test]
async fn what_a_deleted_tenant_kept_leaves_the_files_of_our_own_redis() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("data/redis");
    std::fs::create_dir_all(&files).unwrap();
    let redis = RedisServer::in_directory(&files).unwrap();
    let opened = open(directory.path(), &redis).await;
    let context = tenant(&opened, "acme").await;
    let cache = opened.stores.scoped(&context).cache();
    cache.put("progress", "Quietwater", Duration::from_secs(3_600)).await.unwrap();
    wait_until("the value to be written", || holds(&files, "Quietwater")).await;
    cache.clear().await.unwrap();
    wait_until("the file to be rewritten", || !holds(&files, "Quietwater")).await;
}
