//! Two programs want one data directory.

use tests::bed::Http;
use tests::program::{Program, output};

#[tokio::test]
async fn the_second_is_refused_and_the_first_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let first = Program::dev(data.path());
    let who = format!("another `tenantry dev` (process {}, since ", first.id());
    let keys = [
        ("TENANTRY_STAMP_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("TENANTRY_KEY_SECRET", "0123456789abcdef0123456789abcdef"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("TENANTRY_DATA_DIR", directory),
    ];
    for (program, arguments, settings) in [
        ("tenantry", ["dev", "--listen", "127.0.0.1:0", "--data-dir", directory].as_slice(), &[][..]),
        ("tenantry", &["worker"], &keys),
        ("tenantry", &["api", "--listen", "127.0.0.1:0"], &keys),
        ("api-thin", &["--listen", "127.0.0.1:0"], &keys),
    ] {
        let second = output(program, arguments, settings);
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: TENANTRY_DATA_DIR: another `tenantry dev`"), "{said}");
        assert!(last.contains(&who) && last.contains("--data-dir"), "{said}");
    }
    let ready = Http::new(&first.url, "").get("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

/// Killed or not, the directory is free when its program has ended, and the Redis that it left behind is ended.
#[tokio::test]
async fn the_next_may_have_it_when_the_first_is_gone() {
    let data = tempfile::tempdir().unwrap();
    Program::dev(data.path()).kill();
    drop(Program::dev(data.path()));
    let last = Program::dev(data.path());
    assert_eq!(Http::new(&last.url, "").get("/readyz").await.status, 200);
}
