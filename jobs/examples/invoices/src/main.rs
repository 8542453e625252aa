//! `invoices`: runs the example on the Redis in `REDIS_URL`, or on a `redis-server` of its own.

use std::env;

use invoices::program::{Summary, run};
use jobs::queue::QueueConfig;
use worker::local_redis::LocalRedis;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (own, url) = if let Ok(url) = env::var("REDIS_URL") {
        (None, url.into())
    } else {
        let redis = LocalRedis::start(&data.path().join("redis")).await?;
        let url = redis.url();
        (Some(redis), url)
    };
    let queue = QueueConfig { prefix: "invoices-example".to_owned(), ..jobs::queue::config(url) };
    print(&run(queue, &data.path().join("stores")).await?);
    if let Some(redis) = own {
        redis.stop().await;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the program was asked for")]
fn print(summary: &Summary) {
    for invoice in &summary.sent {
        println!("sent {invoice}");
    }
    for row in &summary.timings {
        let (tenant, kind, attempts, failed) = (&row.tenant, row.kind, row.attempts, row.failed);
        println!("{tenant}: {attempts} attempts at {kind}, {failed} of them tried again, {:.1?}", row.took);
    }
}
