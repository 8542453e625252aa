//! ARCHITECTURE.md and CONTRIBUTING.md name files, commands and crates: each of them has to exist.

use std::fs;
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const PAGES: [&str; 2] = [ARCHITECTURE, "CONTRIBUTING.md"];

/// Lines, or parts of them, with the number of the line.
type Numbered<'a> = Vec<(usize, &'a str)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    assert!(text.is_ok(), "{path} cannot be read, and the pages are checked against it: {text:?}");
    text.unwrap_or_default()
}

/// The lines of a page: those of its text, and those of its blocks of commands.
fn lines(page: &str) -> (Numbered<'_>, Numbered<'_>) {
    let (mut text, mut commands, mut in_block) = (Vec::new(), Vec::new(), false);
    for (line, number) in page.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            commands.push((number, line));
        } else {
            text.push((number, line));
        }
    }
    (text, commands)
}

/// Whether a span in backticks is a path. What has a placeholder in it is the form of one.
fn is_path(span: &str) -> bool {
    span.contains('/') && !span.contains(['<', '*', '{', ' '])
}

/// What a command asks of make.
fn target(command: &str) -> Option<&str> {
    let mut words = command.trim_start().strip_prefix("make ")?.split_whitespace();
    words.find(|word| !word.contains('='))
}

/// What is wrong with the paths and commands of one page.
fn faults(name: &str, page: &str, makefile: &str) -> Vec<String> {
    let (text, commands) = lines(page);
    let (mut spans, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text {
        if line.matches('`').count() % 2 == 1 {
            faults.push(format!("{name}:{number}: a backtick without its twin: put both on one line"));
        }
        spans.extend(line.split('`').skip(1).step_by(2).map(|span| (number, span)));
    }
    for (number, path) in &spans {
        if is_path(path) && !root().join(path).exists() {
            faults.push(format!("{name}:{number}: there is no {path}: correct it; paths begin at the root"));
        }
    }
    for (number, command) in spans.iter().chain(&commands) {
        let Some(target) = target(command) else { continue };
        let is_rule = |line: &str| line.strip_prefix(target).is_some_and(|rest| rest.starts_with(':'));
        if !makefile.lines().any(is_rule) {
            faults.push(format!("{name}:{number}: the Makefile has no target {target}: name one of its own"));
        }
    }
    faults
}

/// The folders of the crates in the workspace.
fn members(manifest: &str) -> Vec<&str> {
    let list = manifest.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.expect("Cargo.toml lists the members");
    list.split('"').skip(1).step_by(2).collect()
}

/// The name of the crate in a folder.
fn package(member: &str) -> String {
    let manifest = read(&format!("{member}/Cargo.toml"));
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.expect("a manifest names its package").to_owned()
}

#[test]
fn pages_name_what_exists() {
    let makefile = read("Makefile");
    let faults: Vec<_> = PAGES.iter().flat_map(|page| faults(page, &read(page), &makefile)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_crate_is_in_the_architecture() {
    let (architecture, manifest) = (read(ARCHITECTURE), read("Cargo.toml"));
    let members = members(&manifest);
    assert!(members.len() > 5, "only {members:?} were found in Cargo.toml");
    for member in members {
        let row = format!("| `{}` | `{member}` |", package(member));
        assert!(architecture.contains(&row), "{ARCHITECTURE} has no row {row}: add it to its table");
    }
}

#[test]
fn the_rules_bite() {
    let count = |page: &str| faults("a.md", page, "test: lint\n\tcargo test\n").len();
    assert_eq!(count("see `jobs/src/nothing.rs`"), 1);
    assert_eq!(count("one `backtick"), 1);
    assert_eq!(count("run `make nothing`"), 1);
    assert_eq!(count("```sh\n  make nothing\n```"), 1);
    assert_eq!(count("see `jobs/src/lib.rs` or `jobs/src/<type>.rs`, run `make ONLY=x test`"), 0);
    assert_eq!(count("```sh\nmake test\ncat nothing/`here`\n```\nmake nothing of it"), 0);
}
