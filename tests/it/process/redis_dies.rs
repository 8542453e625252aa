//! The `redis-server` of `tenantry dev` dies.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use redis::ConnectionLike as _;
use serde_json::json;
use tests::bed::{Http, TestTenant};
use tests::program::Program;
use tests::texts;
use tests::wait::wait_for;

/// The process of the server that listens on the data directory's socket.
fn server(data: &Path) -> Option<String> {
    let socket = data.join("redis/redis.sock");
    let mut client = redis::Client::open(format!("redis+unix://{}", socket.display())).ok()?;
    let info: String = redis::cmd("INFO").arg("server").query(&mut client).ok()?;
    info.lines().find_map(|line| line.strip_prefix("process_id:")).map(|id| id.trim().to_owned())
}

fn kill(process: &str) {
    assert!(Command::new("kill").args(["-9", process]).status().unwrap().success());
}

#[tokio::test]
async fn it_is_started_again_and_the_jobs_go_on() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev(data.path());
    let operator = Http::new(&program.url, &program.operator_key);
    let answer = operator.post("/api/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await;
    let key = answer.body["api_key"].as_str().unwrap();
    let tenant = TestTenant { id: "acme".to_owned(), http: Http::new(&program.url, key) };
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get("/api/v1/tenants/acme").await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
    let names: Vec<String> = (0..8).map(|number| format!("{number}.md")).collect();
    for name in &names {
        assert_eq!(tenant.upload(name, &texts::long(name)).await.status, 202);
    }
    let first = server(data.path()).unwrap();
    kill(&first);
    for name in &names {
        assert_eq!(tenant.settled(name).await["status"], "processed");
    }
    assert_ne!(server(data.path()), Some(first));
    assert!(program.said().contains("redis-server ended"), "{}", program.said());
}

/// The program ends instead of running on without being able to work.
#[tokio::test]
async fn the_program_ends_when_there_is_no_redis_server_any_more() {
    let data = tempfile::tempdir().unwrap();
    let tools = data.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let found =
        String::from_utf8(Command::new("which").arg("redis-server").output().unwrap().stdout).unwrap();
    symlink(found.trim(), tools.join("redis-server")).unwrap();
    for tool in ["sh", "kill"] {
        let found = String::from_utf8(Command::new("which").arg(tool).output().unwrap().stdout).unwrap();
        symlink(found.trim(), tools.join(tool)).unwrap();
    }
    let mut program = Program::dev_with(&data.path().join("data"), &[("PATH", tools.to_str().unwrap())]);
    fs::remove_file(tools.join("redis-server")).unwrap();
    kill(&server(&data.path().join("data")).unwrap());
    let status = program.ended().await;
    assert_eq!(status.code(), Some(1));
    wait_for("the reason", async || {
        let said = program.said();
        let reason =
            said.contains("cannot be started again") && said.contains("redis-server is not installed");
        if reason && said.contains("redis.log") { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test]
async fn only_the_owner_reaches_it() {
    let data = tempfile::tempdir().unwrap();
    let _program = Program::dev(data.path());
    let mode = |path: &str| fs::metadata(data.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("redis"), mode("redis/redis.sock")), (0o700, 0o700));
    let client =
        redis::Client::open(format!("redis+unix://{}/redis/redis.sock", data.path().display())).unwrap();
    let mut connection = client.get_connection().unwrap();
    let port: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("port").query(&mut connection).unwrap();
    assert_eq!(port, ["port", "0"], "it listens on no network");
    assert!(connection.check_connection());
}
