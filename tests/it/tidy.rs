//! Style that is worth a rule is worth a test.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 120;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the project with its path below the root.
fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for folder in ["jobs", "worker", "api-thin", "tests"] {
        for entry in WalkDir::new(root().join(folder)).into_iter().filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                let below = entry.path().strip_prefix(root()).expect("the walk began at the root");
                let text = fs::read_to_string(entry.path()).expect("a source file is text");
                sources.push((below.to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(sources.len() > 50, "the walk found only {} files", sources.len());
    sources
}

/// The style problems of one file.
fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines, more than {MAX_LINES}: split it"));
    }
    for (line, number) in text.lines().zip(1..) {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !line.contains('"') {
            faults.push(format!("{path}:{number}: {columns} columns, more than {MAX_COLUMNS}"));
        }
        for (banned, instead) in BANNED {
            if line.contains(&banned.concat()) {
                faults.push(format!("{path}:{number}: {}: {instead}", banned.concat()));
            }
        }
    }
    let product = !path.contains("tests/");
    let inner = product && (path.ends_with("/mod.rs") || path.ends_with("src/lib.rs"));
    if inner && text.lines().any(|line| line.contains("fn ") && !line.trim_start().starts_with("//")) {
        faults.push(format!("{path}: mod.rs and lib.rs hold no logic: move it to a file with a name"));
    }
    let apalis = path.starts_with("jobs/queue/") || path == "worker/src/run.rs" || path.starts_with("tests/");
    if !apalis && text.lines().any(|line| line.trim_start().starts_with(&["use ", "apalis"].concat())) {
        faults.push(format!("{path}: only jobs/queue and worker/src/run.rs name apalis"));
    }
    faults
}

/// In two parts each, so that this file does not accuse itself.
const BANNED: [([&str; 2], &str); 4] = [
    (["FIX", "ME"], "fix it, or open an issue"),
    (["TO", "DO"], "do it, or open an issue"),
    (["dbg", "!("], "log it with tracing"),
    (["todo", "!("], "write it"),
];

#[test]
fn sources_are_tidy() {
    let faults: Vec<_> = sources().iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_rules_bite() {
    let long = "x\n".repeat(MAX_LINES + 1);
    assert_eq!(faults("jobs/src/a.rs", &long).len(), 1);
    assert_eq!(faults("jobs/src/a.rs", &"x".repeat(MAX_COLUMNS + 1)).len(), 1);
    assert_eq!(faults("jobs/src/a.rs", &["dbg", "!(x)"].concat()).len(), 1);
    assert_eq!(faults("jobs/src/tenant/mod.rs", "pub fn logic() {}").len(), 1);
    assert_eq!(faults("worker/src/a.rs", &["use ", "apalis::x;"].concat()).len(), 1);
    assert!(faults("jobs/src/a.rs", "fn fine() {}").is_empty());
}

/// A job type's file name stands in three places: its payload, its handler, its test.
#[test]
fn every_job_type_has_its_twins() {
    for kind in jobs::JobKind::ALL {
        let file = kind.as_str().replace('.', "_");
        for place in ["jobs/src/types", "worker/ingest/src/handlers", "tests/it/jobs"] {
            let path = root().join(place).join(format!("{file}.rs"));
            assert!(path.exists(), "{kind} has no {place}/{file}.rs");
        }
    }
}

/// What a job type's actor must be allowed to do is thought about, not taken from the trait's default, which is for
/// types of other programs.
#[test]
fn every_job_type_names_its_permission() {
    let types: Vec<_> =
        sources().into_iter().filter(|(path, _)| path.starts_with("jobs/src/types/")).collect();
    let payloads = types.iter().filter(|(path, _)| !path.ends_with("/mod.rs"));
    let (silent, kinds): (Vec<_>, Vec<_>) =
        payloads.partition(|(_, text)| !text.contains("    const PERMISSION: Permission = Permission::"));
    let silent: Vec<_> = silent.iter().map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these job types do not name their permission: {silent:?}");
    assert_eq!(
        kinds.len(),
        jobs::JobKind::ALL.len(),
        "a payload in jobs/src/types is not in jobs/src/kind.rs"
    );
}
