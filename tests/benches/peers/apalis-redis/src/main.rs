//! Fills a stock apalis-redis queue and drains it with one worker. Prints {"seconds": s}; ids go to `IDS_FILE`.
//!
//! In portions, because apalis-redis 1.0 unpacks every due task in one script: more than about 8,000 waiting
//! tasks end its worker. Filling a portion and starting its worker's runtime are not timed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apalis_core::backend::TaskSink;
use apalis_core::backend::ext::BackendExt;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const PORTION: usize = 7_500;
const PATIENCE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noop {
    n: usize,
    pad: String,
}

fn args(n: usize, size: usize) -> Noop {
    let bare = serde_json::to_string(&Noop { n, pad: String::new() }).map_or(0, |json| json.len());
    Noop { n, pad: "x".repeat(size.saturating_sub(bare)) }
}

fn number(name: &str) -> Result<usize, Failure> {
    Ok(std::env::var(name)?.parse()?)
}

#[derive(Default)]
struct Ran {
    ids: Mutex<Vec<usize>>,
    changed: Notify,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (total, size, batch) = (number("JOBS")?, number("ARGS_BYTES")?, number("CONCURRENCY")?);
    let locks = number("LOCKS")? == 1;
    let redis = apalis_redis::connect(format!("redis://127.0.0.1:{}/", number("REDIS_PORT")?)).await?;
    let ran = Arc::new(Ran::default());
    let mut spent = Duration::ZERO;
    for first in (0..total).step_by(PORTION) {
        let end = (first + PORTION).min(total);
        let storage = storage(redis.clone(), batch, locks);
        let mut sink = storage.clone();
        for start in (first..end).step_by(500) {
            sink.push_bulk((start..(start + 500).min(end)).map(|n| args(n, size)).collect()).await?;
        }
        spent += drain(storage, first, end, &ran).await?;
    }
    let ids = std::mem::take(&mut *ran.ids.lock().map_err(|_| "a handler panicked")?);
    let lines: Vec<String> = ids.iter().map(usize::to_string).collect();
    std::fs::write(std::env::var("IDS_FILE")?, lines.join("\n"))?;
    println!("{{\"seconds\": {}}}", spent.as_secs_f64());
    Ok(())
}

/// Results are its acknowledgements: without them a task stays in flight for ever and runs again later. Locks
/// are on as it comes; its documentation allows to do without for tasks shorter than a heartbeat.
fn storage(redis: ConnectionManager, batch: usize, locks: bool) -> RedisStorage<Noop> {
    let config = Config::default().queue("drain").batch_size(batch).emit_events(false);
    RedisStorage::new(redis).with_config(config.lock_tasks(locks))
}

async fn drain(
    storage: RedisStorage<Noop>,
    first: usize,
    end: usize,
    ran: &Arc<Ran>,
) -> Result<Duration, Failure> {
    let seen = Arc::clone(ran);
    let handler = move |job: Noop| {
        let seen = Arc::clone(&seen);
        async move {
            let mut ids = seen.ids.lock().map_err(|_| "a handler panicked")?;
            ids.push(job.n);
            if ids.len() == end {
                seen.changed.notify_one();
            }
            Ok::<(), Failure>(())
        }
    };
    let backend = storage.poll_with_interval(Duration::from_millis(10));
    let worker = WorkerBuilder::new(format!("drain-{first}")).backend(backend).build(handler);
    let start = Instant::now();
    tokio::select! {
        () = ran.changed.notified() => Ok(start.elapsed()),
        ended = worker.run() => Err(format!("the worker ended: {ended:?}").into()),
        () = tokio::time::sleep(PATIENCE) => Err("a portion was not drained in time".into()),
    }
}
