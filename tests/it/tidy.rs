//! Style that is worth a rule is worth a test. Each rule says its reason in its message.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Without its tests. From this on, a file is named on standard error, as one to look at.
const LINES_WARNED: usize = 600;
const LINES_MAX: usize = 900;
/// A product file with fewer lines, its tests included, is a part of an idea; job types and handlers have one each.
const LINES_MIN: usize = 40;
const COLUMNS_MAX: usize = 120;
const FUNCTION_LINES_MAX: usize = 60;
/// Files with methods of one type.
const IMPLS_MAX: usize = 3;
/// Types whose methods stand beside what they do, one subject in a file, because callers want one type for all of them:
/// the queue's commands, and the rules of the catalog beside their SQL.
const IMPLS_SPREAD: [&str; 2] = ["Queue", "Catalog"];
/// Files of one crate that are called alike because they are two sides of one thing: a type and its statements, or the
/// same part for another database.
const TWINS: [&str; 5] = ["usage.rs", "accept.rs", "directory.rs", "fault.rs", "sql.rs"];

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

/// Whether a file is part of what is shipped.
fn is_product(path: &str) -> bool {
    path.contains("/src/")
        && !["tests/", "/tests/", "/conformance/", "/examples/"]
            .iter()
            .any(|part| path.starts_with(part) || path.contains(part))
        && !path.ends_with("/tests.rs")
}

/// A file's text without the tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// What is wrong with one file.
fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = without_tests(text).lines().count();
    if lines > LINES_WARNED {
        eprintln!("{path}: {lines} lines: does it still hold one idea?");
    }
    if lines > LINES_MAX {
        faults.push(format!(
            "{path}: {lines} lines, more than {LINES_MAX}: too long to be read at once, split it by idea"
        ));
    }
    let is_small_by_nature = ["/types/", "/handlers/", "/mod.rs", "/lib.rs", "/main.rs"];
    if is_product(path)
        && text.lines().count() < LINES_MIN
        && !is_small_by_nature.iter().any(|part| path.contains(part))
    {
        faults.push(format!(
            "{path}: {lines} lines, fewer than {LINES_MIN}: part of an idea, fold it into its neighbour"
        ));
    }
    for (line, number) in text.lines().zip(1..) {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !line.contains('"') {
            faults.push(format!(
                "{path}:{number}: {columns} columns, more than {COLUMNS_MAX}: two panes do not fit a screen"
            ));
        }
        for (banned, instead) in BANNED {
            if line.contains(&banned.concat()) {
                faults.push(format!("{path}:{number}: {}: {instead}", banned.concat()));
            }
        }
    }
    faults.extend(long_functions(path, text));
    faults.extend(private_words(path, text));
    let apalis = path.starts_with("jobs/queue/") || path == "worker/src/run.rs" || path.starts_with("tests/");
    if !apalis && text.lines().any(|line| line.trim_start().starts_with(&["use ", "apalis"].concat())) {
        faults.push(format!(
            "{path}: only jobs/queue and worker/src/run.rs name apalis, so that it can be replaced"
        ));
    }
    faults
}

/// Words that only this project used for what the field has terms for, in two parts each, and what to write.
const GLOSSARY: [([&str; 2], &str); 7] = [
    (["who", "ever"], "the caller, the worker, the user: name who acts"),
    (["nob", "ody"], "no worker, no caller: name who does not"),
    (["some", "body"], "a user, another worker: name who acts"),
    (["put ", "aside"], "quarantined"),
    (["called ", "off"], "cancelled"),
    (["out", "run"], "retries exhausted, or conflict"),
    (["hun", "gry"], "has capacity"),
];

fn private_words(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|_| is_product(path)) {
        let line = line.to_lowercase();
        for (word, instead) in GLOSSARY.iter().filter(|(word, _)| line.contains(&word.concat())) {
            faults.push(format!(
                "{path}:{number}: {:?}: a newcomer does not know whom or what it means: {instead}",
                word.concat()
            ));
        }
    }
    faults
}

/// Functions that are longer than a screen. rustfmt puts the end of a function below its beginning.
fn long_functions(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let mut faults = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words =
            ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(super) fn ", "const fn "];
        let is_function = words.iter().any(|word| code.starts_with(word)) && !line.ends_with(';');
        if !is_function || !is_product(path) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let (end, declared) = (format!("{indent}}}"), format!("{indent})"));
        let rest =
            lines[at + 1..].iter().take_while(|line| !(line.starts_with(&declared) && line.ends_with(';')));
        let length = rest.take_while(|line| **line != end).count() + 2;
        if length > FUNCTION_LINES_MAX && lines.get(at + length - 1).is_some_and(|line| *line == end) {
            faults.push(format!(
                "{path}:{}: a function of {length} lines, more than {FUNCTION_LINES_MAX}: it cannot be read without scrolling",
                at + 1
            ));
        }
    }
    faults
}

/// The folder of the crate that a product file belongs to.
fn crate_of(path: &str) -> &str {
    path.split("/src/").next().unwrap_or_default()
}

#[test]
fn names_tell_files_apart() {
    let mut files: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (path, _) in sources().into_iter().filter(|(path, _)| is_product(path)) {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if !["mod.rs", "lib.rs", "main.rs"].contains(&name.as_str()) && !TWINS.contains(&name.as_str()) {
            files.entry((crate_of(&path).to_owned(), name)).or_default().push(path);
        }
    }
    let alike: Vec<_> = files.into_values().filter(|paths| paths.len() > 1).collect();
    assert!(
        alike.is_empty(),
        "a reader guesses a file from its name; these share one within a crate: {alike:#?}"
    );
}

#[test]
fn the_methods_of_a_type_are_in_few_files() {
    let mut files: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| is_product(path)) {
        for line in
            without_tests(&text).lines().filter(|line| line.starts_with("impl") && !line.contains(" for "))
        {
            let name = line.rsplit_once("> ").map_or(line, |(_, name)| name).trim_start_matches("impl ");
            let name = name.split(['<', ' ', '{']).next().unwrap_or_default().to_owned();
            files.entry((crate_of(&path).to_owned(), name)).or_default().insert(path.clone());
        }
    }
    let spread = files.into_iter().filter(|((_, name), paths)| {
        paths.len() > IMPLS_MAX && !name.is_empty() && !IMPLS_SPREAD.contains(&name.as_str())
    });
    let spread: Vec<_> = spread.collect();
    assert!(spread.is_empty(), "one idea is cut into more than {IMPLS_MAX} files: {spread:#?}");
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
    let of = |line: &str| format!("{line}\n{}", "\n".repeat(LINES_MIN));
    assert_eq!(faults("jobs/src/a.rs", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
    assert_eq!(faults("jobs/src/a.rs", "fn small() {}").len(), 1);
    assert!(faults("jobs/src/types/a.rs", "fn small() {}").is_empty());
    assert_eq!(faults("jobs/src/a.rs", &of(&"x".repeat(COLUMNS_MAX + 1))).len(), 1);
    assert_eq!(faults("jobs/src/a.rs", &of(&["dbg", "!(x)"].concat())).len(), 1);
    assert_eq!(faults("worker/src/a.rs", &of(&["use ", "apalis::x;"].concat())).len(), 1);
    let function =
        |lines: usize| format!("    pub fn a() {{\n{}    }}\n", "        x();\n".repeat(lines - 2));
    assert_eq!(faults("jobs/src/a.rs", &function(FUNCTION_LINES_MAX + 1)).len(), 1);
    assert!(faults("jobs/src/a.rs", &function(FUNCTION_LINES_MAX)).is_empty());
    assert_eq!(faults("jobs/src/a.rs", &of(&["// for who", "ever asks"].concat())).len(), 1);
    assert!(faults("jobs/src/a.rs", &of("fn fine() {}")).is_empty());
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
