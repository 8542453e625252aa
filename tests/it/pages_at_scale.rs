//! How fast the dashboard is where there are many tenants and jobs, in Chromium. It measures and tests nothing:
//!
//! ```sh
//! make bench-pages                                  # 100,000 tenants, 50,000 jobs, the program built for release
//! make bench-pages TENANTS=2000 JOBS=1000
//! ```
//!
//! `MEASURED_PROGRAM` names the `tenantry` to measure instead of the one beside this test.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fair_queue::testing::RedisServer;
use futures::{StreamExt as _, stream};
use jobs::DocumentId;
use jobs::clock::SystemClock;
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper};
use jobs::queue::{PartitionShare, Queue};
use jobs::tenant::TenantContext;
use jobs::types::IngestDocument;
use serde_json::json;
use stores::direct::DirectSqlite;
use tests::program::{command, free_address, http_client};
use tests::wait::wait_for;

const OPERATOR: &str = "the-operator-of-the-measured-one";
const STAMP_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Tenants that have work: one has half of it.
const BUSY: usize = 1_000;

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn name(tenant: usize) -> String {
    format!("tenant-{tenant:06}")
}

/// A program that ends with this value.
struct Running(Child);

impl Running {
    fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let usual = command("tenantry");
        let mut program = match std::env::var_os("MEASURED_PROGRAM") {
            Some(other) => Command::new(other),
            None => Command::new(usual.get_program()),
        };
        for (name, _) in usual.get_envs() {
            program.env_remove(name);
        }
        let settings = settings.iter().copied();
        program.arg("api").env("TENANTRY_DATA_DIR", data).env("RUST_LOG", "error").envs(settings);
        Self(program.stdin(Stdio::null()).spawn().expect("the program starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Writes the tenants into the catalog, which the program has made: past it, because it would take an hour.
async fn write_tenants(data: &Path, count: usize) {
    let rows = format!(
        "with recursive n (at) as (select 0 union all select at + 1 from n where at + 1 < {count}),
         made (id, at) as (select printf('tenant-%06d', at), at from n)"
    );
    let tenants = format!(
        "{rows} insert into tenants (tenant_id, name, plan, status, created_at)
         select id, printf('Customer %06d of the measured installation', {count} - at),
             case at % 3 when 0 then 'free' when 1 then 'pro' else 'enterprise' end,
             case when at % 500 = 0 then 'suspended' else 'active' end, 1700000000000000 + at * 1000000 from made"
    );
    let slugs =
        format!("{rows} insert into slugs (tenant_id, slug, is_current) select id, id, true from made");
    let kbs = format!(
        "{rows} insert into kbs (tenant_id, kb_id, name, workspace, created_at)
         select id, 'default', 'default', printf('ws_%016d', at), 1700000000000000 from made"
    );
    let mut catalog = DirectSqlite::open(&data.join("catalog.db")).await.unwrap();
    catalog.execute(&format!("begin immediate; {tenants}; {slugs}; {kbs}; commit; analyze")).await.unwrap();
    catalog.close().await.unwrap();
}

/// Tells the queue what each tenant may, as a worker does, and fills it.
async fn fill_queue(redis_url: &str, tenants: usize, jobs: usize) {
    let queue = Queue::connect(jobs::queue::config(redis_url.to_owned().into())).await.unwrap();
    let share = |tenant: usize| {
        let (queue, cap) = (queue.clone(), Some(if tenant.is_multiple_of(3) { 2 } else { 20 }));
        async move {
            let share = PartitionShare { cap, ..PartitionShare::default() };
            let context = TenantContext::for_tests(&name(tenant));
            queue.partition_set(context.tenant_id(), share).await.unwrap();
        }
    };
    stream::iter(0..tenants).map(share).buffer_unordered(64).collect::<Vec<()>>().await;
    let stamper = Stamper::new(StampKeys::parse(&STAMP_KEYS.into()).unwrap(), Arc::new(SystemClock));
    let busy = BUSY.min(tenants);
    for from in (0..jobs).step_by(500) {
        let stamped = (from..jobs.min(from + 500)).map(|at| {
            let tenant = if at < jobs / 2 { 1 } else { (at % busy) * (tenants / busy) };
            let job = IngestDocument { document_id: DocumentId::of_name(&format!("{at}.md")), revision: 1 };
            let context = TenantContext::for_tests(&name(tenant));
            stamper.stamp(&context, &job, EnqueueOptions::default()).unwrap()
        });
        queue.push(&stamped.collect::<Vec<_>>()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "measures, and tests nothing: make bench-pages"]
async fn first_paint_and_filters() {
    let (tenants, jobs) = (number("TENANTS", 100_000), number("JOBS", 50_000));
    let (redis, data) = (RedisServer::start(&[]).unwrap(), tempfile::tempdir().unwrap());
    let (address, redis_url) = (free_address(), redis.url());
    let url = format!("http://{address}");
    let settings = [
        ("REDIS_URL", redis_url.as_str()),
        ("TENANTRY_LISTEN", address.as_str()),
        ("TENANTRY_STAMP_KEYS", STAMP_KEYS),
        ("TENANTRY_KEY_SECRET", "0123456789abcdef0123456789abcdef"),
        ("TENANTRY_OPERATOR_KEY", OPERATOR),
    ];
    let _api = Running::start(data.path(), &settings);
    let http = http_client();
    wait_for("the API to be ready", async || {
        let answer = http.get(format!("{url}/readyz")).send().await.map_err(|error| error.to_string())?;
        answer.error_for_status().map_err(|error| error.to_string())
    })
    .await;
    write_tenants(data.path(), tenants).await;
    fill_queue(&redis_url, tenants, jobs).await;
    let facts = data.path().join("facts.json");
    let facts_json =
        json!({ "url": url, "operator": OPERATOR, "busiest": name(1), "some": name(tenants / 2) });
    tokio::fs::write(&facts, facts_json.to_string()).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/times.py");
    let installed =
        std::env::var("BROWSER").expect("BROWSER is the directory of Playwright: make bench-pages");
    let python =
        tokio::process::Command::new("python3").env("PYTHONPATH", installed).arg(script).arg(&facts).status();
    assert!(python.await.unwrap().success());
    eprintln!("{tenants} tenants, {jobs} jobs");
}
