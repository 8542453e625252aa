//! Which crates may use which. Only `worker/stores` may name a database driver: the compiler then keeps every other
//! crate away from raw connections. No arrow runs back up, so that a crate can be used, and built, without those above.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use walkdir::WalkDir;

const DRIVERS: [&str; 4] = ["sqlx", "mongodb", "neo4rs", "object_store"];

/// The crates that have the driver of Redis in their manifests, and why.
const REDIS: [(&str, &str); 2] = [
    ("fair-queue", "its `redis::RedisClient` is the only client, of the queue and of what else is in Redis"),
    ("tests", "looks at what is in a server, and damages it"),
];
/// Where that client is.
const REDIS_CLIENT: &str = "jobs/queue/src/redis/";
/// What starts a server, of the product as well as of tests.
const REDIS_SERVER: &str = "jobs/queue/src/redis/server_process.rs";
/// What the rest of the crate names of the driver: commands and answers, nothing that connects.
const REDIS_VALUES: [&str; 7] =
    ["Cmd", "ErrorKind", "FromRedisValue", "RedisError", "ToRedisArgs", "Value", "cmd"];

/// Each crate of ours, the others of ours that it may name, and why no more.
const EDGES: [(&str, &[&str], &str); 11] = [
    ("fair-queue", &[], "a queue of bytes on Redis that knows no tenants: usable by itself"),
    ("jobs", &["fair-queue"], "what a job is, and the only door to the queue"),
    ("stores", &["fair-queue", "jobs"], "a tenant's data, for whoever holds a context of jobs"),
    ("worker", &["fair-queue", "jobs", "stores"], "runs any registered type: it knows no API and no product"),
    (
        "ingest",
        &["fair-queue", "jobs", "stores", "worker"],
        "the product's types, on a worker as any program's",
    ),
    ("dashboard", &[], "a client of the API: it shows and does what the API lets the signed-in person"),
    ("api-thin", &["fair-queue", "jobs", "stores", "dashboard"], "stamps and enqueues: it runs nothing"),
    (
        "tenantry",
        &["fair-queue", "jobs", "stores", "worker", "ingest", "api-thin"],
        "the program, the only one that sees API and worker together",
    ),
    ("invoices", &["jobs", "worker"], "shows what embedding a worker takes"),
    ("benches", &["fair-queue", "jobs", "stores", "worker"], "measures the queue, and the worker on files"),
    (
        "tests",
        &["fair-queue", "jobs", "stores", "worker", "ingest", "api-thin", "tenantry"],
        "tests the whole, and is used by nothing",
    ),
];

/// What a program with one job type of its own must not have to build: the crates above the worker, and what only
/// they need.
const NOT_EMBEDDED: [&str; 8] =
    ["api-thin", "ingest", "tenantry", "aide", "axum", "clap", "indicatif", "tiktoken-rs"];
/// How many crates the embedding example is built of, at most. It was 548 when the worker used the API.
const EMBEDDED_MOST: usize = 300;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .exec()
        .expect("cargo metadata describes the workspace")
}

/// What each workspace member lists in its manifest, under any kind of dependency.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let named = |package: &cargo_metadata::Package| {
        let names = package.dependencies.iter().map(|dependency| dependency.name.clone());
        (package.name.to_string(), names.collect())
    };
    metadata().packages.iter().map(named).collect()
}

/// A crate that depends on `fair-queue` could push jobs that were not stamped for a tenant; all others use
/// `jobs::queue`.
#[test]
fn only_jobs_and_tests_depend_on_the_queue() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata describes the workspace");
    let depends = |package: &&cargo_metadata::Package| {
        package.dependencies.iter().any(|dependency| dependency.name == "fair-queue")
    };
    let mut found: Vec<_> =
        metadata.packages.iter().filter(depends).map(|package| package.name.to_string()).collect();
    found.sort_unstable();
    assert_eq!(found, ["fair-queue", "jobs", "tests"], "push through jobs::queue::Queue instead");
}

#[test]
fn only_stores_depends_on_a_driver() {
    let is_driver = |name: &&String| DRIVERS.iter().any(|driver| name.starts_with(driver));
    for (member, names) in dependencies() {
        let drivers: Vec<_> = names.iter().filter(is_driver).collect();
        if member == "stores" {
            assert!(drivers.len() >= DRIVERS.len(), "the fence guards nothing: {drivers:?}");
        } else {
            let instead = "reach the data through stores::Stores instead";
            assert!(drivers.is_empty(), "{member} depends on {drivers:?}: {instead}");
        }
    }
}

#[test]
fn only_the_queue_and_tests_depend_on_the_driver_of_redis() {
    let with: Vec<_> = dependencies()
        .into_iter()
        .filter(|(_, names)| names.iter().any(|name| name == "redis"))
        .map(|(member, _)| member)
        .collect();
    let allowed = REDIS.map(|(member, _)| member);
    assert_eq!(with, allowed, "use jobs::redis::RedisClient instead; who may not: {REDIS:?}");
}

/// What a text names of the crate `redis`, by the first part of each path. A module of ours with that name is not it.
fn named_of_redis(text: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("redis::") {
        let before = text[..at].trim_end_matches("::");
        let is_ours = (before.len() < at && before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            || text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_ours {
            continue;
        }
        let rest = &text[at + "redis::".len()..];
        let list = rest.strip_prefix('{').and_then(|list| list.split_once("};")).map(|(list, _)| list);
        for path in list.unwrap_or(rest.split([';', ',']).next().unwrap_or_default()).split(',') {
            let path = path.trim();
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
            named.extend(Some(&path[..end]).filter(|name| !name.is_empty()));
        }
    }
    named
}

/// Every Rust file below `folder`, by its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = WalkDir::new(root.join(folder)).into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    files
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("the walk began below the root");
            let text = fs::read_to_string(entry.path()).expect("a source file is text");
            (path.to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn only_one_folder_connects_to_redis() {
    let (mut clients, mut elsewhere) = (BTreeSet::new(), Vec::new());
    for (path, text) in sources("jobs/queue/src") {
        let named = named_of_redis(&text).into_iter().filter(|name| !REDIS_VALUES.contains(name));
        let connects: Vec<_> = named.map(str::to_owned).collect();
        if path.starts_with(REDIS_CLIENT) {
            clients.extend(connects);
        } else if !connects.is_empty() {
            elsewhere.push(format!("{path} names redis::{connects:?}"));
        }
    }
    assert!(clients.contains("Client") && clients.contains("aio"), "the fence guards nothing: {clients:?}");
    assert!(elsewhere.is_empty(), "connect through crate::redis::RedisClient instead: {elsewhere:#?}");
}

/// A second way to start one would have to learn again what ends with whom, and how to tell that it runs.
#[test]
fn only_one_file_starts_a_server_of_redis() {
    let starts = ["Command::new(", "\"redis-server\")"].concat();
    let folders = ["jobs", "worker", "api-thin", "tests"];
    let files: Vec<_> =
        folders.into_iter().flat_map(sources).filter(|(_, text)| text.contains(&starts)).collect();
    let files: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(files, [REDIS_SERVER], "start it with jobs::redis::ServerCommand instead");
}

#[test]
fn a_name_of_the_driver_is_found_in_every_form() {
    let named = |text: &'static str| named_of_redis(text).into_iter().collect::<Vec<_>>();
    assert_eq!(named("use redis::{Client, Cmd};"), ["Client", "Cmd"]);
    assert_eq!(named("use redis::aio::{ConnectionManager, PubSub};"), ["aio"]);
    assert_eq!(named("use redis::{\n    aio::ConnectionManager,\n    cmd,\n};"), ["aio", "cmd"]);
    assert_eq!(named("let client = ::redis::Client::open(url)?;"), ["Client"]);
    assert_eq!(named("fn f(a: redis::Cmd, b: redis::Value)"), ["Cmd", "Value"]);
    assert_eq!(named("use crate::redis::RedisClient; use super::redis::x; my_redis::y();"), [""; 0]);
}

#[test]
fn no_crate_of_ours_uses_one_above_it() {
    let members = dependencies();
    for (member, names) in &members {
        let (_, allowed, why) = EDGES.iter().find(|(name, ..)| name == member).unwrap_or_else(|| {
            panic!("{member} is not in EDGES: say there which of our crates it may use, and why")
        });
        // A crate may name itself, with the features that its tests need.
        let ours = names.iter().filter(|name| members.contains_key(*name) && *name != member);
        let others: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(others.is_empty(), "{member} uses {others:?}, and may use {allowed:?} alone: {why}");
    }
}

#[test]
fn embedding_the_worker_builds_neither_the_api_nor_the_product() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "invoices",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        // What the example asks for by itself, not what all members together do.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let crates: BTreeSet<_> =
        text.lines().filter_map(|line| Some(line.split_once(" v")?.0.to_owned())).collect();
    let above: Vec<_> = NOT_EMBEDDED.iter().filter(|name| crates.contains(**name)).collect();
    assert!(above.is_empty(), "a program with one job type of its own builds {above:?}");
    assert!(crates.contains("worker"), "the example embeds nothing: {crates:?}");
    assert!(
        crates.len() <= EMBEDDED_MOST,
        "{} crates, more than {EMBEDDED_MOST}: what came with the last change is not the worker's",
        crates.len()
    );
}
