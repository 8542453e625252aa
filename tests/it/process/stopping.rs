//! A program is told to stop before it has started.

use std::process::{Command, Stdio};

use tests::program::command;
use tests::wait::wait_for;

/// As the first process of a container, which ignores signals until it listens to them.
const IGNORING: &str = "trap '' INT TERM; exec \"$@\"";

#[tokio::test]
async fn a_signal_during_the_start_is_not_lost() {
    for signal in ["-INT", "-TERM"] {
        let data = tempfile::tempdir().unwrap();
        let program = command("tenantry").get_program().to_owned();
        let mut child = Command::new("sh")
            .args(["-c", IGNORING, "sh"])
            .arg(program)
            .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .env_remove("REDIS_URL")
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Among the first things that it makes; Redis and the API come later.
        let secrets = data.path().join("secrets.env");
        wait_for("the start", async || secrets.exists().then_some(()).ok_or("no secrets")).await;
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = wait_for("the end", async || {
            child.try_wait().unwrap().ok_or("it goes on as if nothing was said")
        })
        .await;
        assert!(status.success(), "{signal}: {status}");
    }
}
