//! Peak memory of reading, measured from outside: each document in a process of its own.

use std::process::Command;

use worker::compute::Turn;

use super::parse;
use crate::text::{ChunkSize, Chunker};

const UNIT: &str = "TENANTRY_TEST_UNIT";
const FORMAT: &str = "TENANTRY_TEST_FORMAT";
const BYTES: usize = 4 * 1024 * 1024;
/// Memory reserved for a document (`handlers/document_ingest.rs`), in multiples of its size; the tree comes on top.
const FACTOR: usize = 8;
const TREE_BYTES: usize = 32 * 1024 * 1024;

/// Peak memory of this process, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line for the peak");
    let kib: usize = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn one_document() {
    let (Ok(unit), Ok(format)) = (std::env::var(UNIT), std::env::var(FORMAT)) else { return };
    let chunker = Chunker::new(ChunkSize { tokens: 100, overlap: 50 }).expect("a possible size");
    // The tokenizer's tables and the regular expression's caches belong to the process, not to the document.
    drop(chunker.chunks(&"warm - [a](b) 居 *c* ".repeat(20_000), &Turn::unlimited()));
    let document = unit.repeat(BYTES / unit.len());
    let before = peak();
    let parsed = parse(&format, "a", document.as_bytes()).expect("readable");
    let chunks = chunker.chunks(&parsed.text, &Turn::unlimited()).expect("no limit");
    println!("took {} for {} chunks", peak() - before, chunks.len());
}

#[test]
#[cfg(target_os = "linux")]
fn memory_grows_with_the_document_whatever_is_in_it() {
    for (format, unit) in [
        ("text/markdown", "["),
        ("text/markdown", "- a\n"),
        ("text/markdown", "*a_ "),
        ("text/markdown", "|a|b|\n|-|-|\n"),
        ("text/html", "<b>a"),
        ("text/plain", "a "),
        ("text/plain", "&lt;"),
    ] {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--ignored", "--nocapture", "text::tests::memory::one_document"])
            .envs([(UNIT, unit), (FORMAT, format)])
            .output()
            .expect("it runs again");
        let output = String::from_utf8_lossy(&child.stdout);
        let took = output.split("took ").nth(1).and_then(|rest| rest.split(' ').next());
        let took: usize = took.unwrap_or_else(|| panic!("{output}")).parse().expect("a number");
        let limit = FACTOR * BYTES + TREE_BYTES;
        assert!(took <= limit, "{format} {unit:?}: {} MiB of {} MiB", took >> 20, limit >> 20);
    }
}
