use serde_json::Value;
use tests::bed::{Bed, TestTenant};
use tests::program::Program;
use tests::texts;
use tests::wait::wait_for;

const NAMES: [&str; 6] = ["a.md", "b.md", "c.md", "d.md", "e.md", "f.md"];

/// The whole graph, as the API shows it.
async fn graph(tenant: &TestTenant) -> (Value, Value) {
    let answer = tenant.http.get(&tenant.kb("graph?limit=1000")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.body["entities"].clone(), answer.body["relations"].clone())
}

async fn processed(tenant: &TestTenant) -> usize {
    let answer = tenant.http.get(&tenant.kb("documents?status=processed&limit=1000")).await;
    answer.body["documents"].as_array().map_or(0, Vec::len)
}

/// Goal: a worker that is killed loses nothing and doubles nothing.
/// Method: kill the whole process while some documents are done and others are not, start it again on the same data,
/// and compare the graph with that of a system that was not killed.
#[tokio::test]
async fn kill_9_in_the_middle_ends_in_the_same_graph() {
    let undisturbed = Bed::embedded().await;
    let (expected, _) = undisturbed.look_alikes().await;
    for name in NAMES {
        expected.ingest(name, &texts::long(name)).await;
    }

    let data = tempfile::tempdir().unwrap();
    let program = Program::dev(data.path());
    let tenant = program.provision("acme").await;
    for name in NAMES {
        assert_eq!(tenant.upload(name, &texts::long(name)).await.status, 202);
    }
    wait_for("the first document to be processed", async || {
        let count = processed(&tenant).await;
        if count > 0 { Ok(()) } else { Err(count) }
    })
    .await;
    let key = tenant.http.clone();
    program.kill();

    let program = Program::dev(data.path());
    let tenant = TestTenant { id: tenant.id, http: key.at(&program.url) };
    for name in NAMES {
        assert_eq!(tenant.settled(name).await["status"], "processed");
    }
    assert_eq!(graph(&tenant).await, graph(&expected).await);
}
