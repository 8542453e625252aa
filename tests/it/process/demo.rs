//! `tenantry demo` as a person starts it: it stays up, with something to see in the dashboard.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::program::{command, http_client};
use tests::wait::wait_for;

/// A demo that ends with this value.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Starts the demo. It, its URL, and the keys of the idle and of the busy tenant, as it prints them before its link.
fn start() -> (Demo, String, [String; 2]) {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/demo");
    let mut program = command("tenantry");
    program.args(["demo", "--samples", samples]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut demo = Demo(program.spawn().expect("the program starts"));
    let mut keys = [String::new(), String::new()];
    let lines = BufReader::new(demo.0.stderr.take().expect("it is piped")).lines();
    let url = lines.map_while(Result::ok).find_map(|line| {
        for (key, start) in keys.iter_mut().zip(["tk_brackwater_", "tk_quillmere_"]) {
            if let Some(at) = line.find(start) {
                line[at..].split('\'').next().unwrap_or_default().clone_into(key);
            }
        }
        let (before, _) = line.split_once("/sign-in/")?;
        before.split_whitespace().next_back().map(str::to_owned)
    });
    (demo, url.expect("it prints a link before it ends"), keys)
}

#[tokio::test]
async fn there_is_something_to_see() {
    let (_demo, url, [idle, busy]) = tokio::task::spawn_blocking(start).await.unwrap();
    let client = http_client();
    let get = async |path: &str, key: &str| {
        let request = client.get(format!("{url}/api/v1/tenants/{path}")).bearer_auth(key);
        request.send().await.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap()
    };
    let failed = get("brackwater/kbs/default/documents?status=failed", &idle).await;
    let document = &failed["documents"][0];
    assert_eq!(document["name"], "visitors-of-the-season.md", "{failed}");
    assert!(document["error"]["detail"].is_string(), "it says why: {failed}");
    assert_eq!(get("brackwater/kbs/default/schedules/nightly", &idle).await["paused"], true);
    let waiting = async || get("quillmere/jobs?limit=1", &busy).await["counts"]["available"].as_u64();
    wait_for("jobs that wait", async || match waiting().await {
        Some(1..) => Ok(()),
        other => Err(other),
    })
    .await;
}
