//! A process that may open no more files accepts connections again as soon as it can, and neither ends nor spins.

use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tests::bed::Http;
use tests::program::Program;
use tests::wait::wait_for;
use tokio::net::TcpStream;

use super::logs::tenant;

/// How many more files the process may open.
const SPARE: u64 = 8;
/// What it says when it cannot accept a connection. It waits for 100 ms then.
const LINE: &str = "no connection can be accepted now";
const WAIT_MS: u128 = 100;

#[tokio::test]
async fn connections_wait_for_handles() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev(data.path());
    let acme = tenant(&program, "acme").await;
    let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count();
    // The same hard limit as this process has, so that the soft one can be raised again.
    let few = Rlimit { current: Some(open as u64 + SPARE), ..getrlimit(Resource::Nofile) };
    let enough = prlimit(Some(pid), Resource::Nofile, few).unwrap();

    let start = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..4 * SPARE {
        silent.push(TcpStream::connect(program.url.trim_start_matches("http://")).await.unwrap());
    }
    wait_for("the process to have no handle left", async || {
        let said = program.said();
        if said.contains(LINE) { Ok(()) } else { Err(said) }
    })
    .await;
    for _ in 0..3 {
        assert_eq!(acme.http.get("/healthz").await.status, 200, "it makes room for who comes");
    }
    let (tries, waits) = (program.said().matches(LINE).count(), start.elapsed().as_millis() / WAIT_MS);
    assert!(tries as u128 <= waits + 1, "it tried {tries} times within {waits} waits");

    prlimit(Some(pid), Resource::Nofile, enough).unwrap();
    drop(silent);
    acme.ingest("heron.md", "Ada Lovelace met Charles Babbage in London.").await;
    let operator = Http::new(&program.url, &program.operator_key);
    assert_eq!(operator.get("/readyz").await.status, 200);
}
