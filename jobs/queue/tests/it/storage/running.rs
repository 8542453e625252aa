//! Workers on a storage: how they stop, what they give back, and what apalis wraps around them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use fair_queue::testing::RedisServer;
use tokio::sync::Semaphore;

use super::site::{Log, Mail, Site, Work, mail, mails_to};
use crate::support::{config_at, tenant};
use crate::worker_queue::site::{PATIENCE, quick, until};

/// A handler that notes the mail and then waits for a permit.
fn held(log: &Log, gate: &Arc<Semaphore>) -> impl Fn(Mail) -> Held + Clone + Send + Sync + use<> {
    let (log, gate) = (log.clone(), Arc::clone(gate));
    move |mail: Mail| {
        let (log, gate) = (log.clone(), Arc::clone(&gate));
        Box::pin(async move {
            log.add(&mail.to);
            gate.acquire().await?.forget();
            Ok(())
        })
    }
}

type Held = std::pin::Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

/// Long before its handler ends: another worker can run them meanwhile.
#[tokio::test]
async fn a_worker_that_stops_gives_back_at_once_what_it_has_not_started() {
    let site = Site::new().await;
    let (log, gate, context) = (Log::default(), Arc::new(Semaphore::new(0)), WorkerContext::new("w"));
    let mut mails = site.mails();
    mails.push_bulk(mails_to(6)).await.unwrap();
    let worker = WorkerBuilder::new(&context).backend(mails.clone()).concurrency(1).build(held(&log, &gate));
    let work = Work::new(&context, worker.run());
    log.until(1).await;
    until("the worker has them all", async || site.counts().await.1 == 0).await;
    context.stop().unwrap();
    until("five are back", async || site.counts().await.1 == 5).await;
    assert_eq!(site.queue.stats(&tenant("default")).await.unwrap().active, 1, "one still runs");

    let (other, others) = (WorkerContext::new("other"), Log::default());
    let seen = others.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let second = Work::new(&other, WorkerBuilder::new(&other).backend(mails).build(handler).run());
    others.until(5).await;
    gate.add_permits(1);
    work.ended().await.unwrap();
    second.stop().await;
    let ran: BTreeSet<_> = [log.lines(), others.lines()].concat().into_iter().collect();
    assert_eq!((ran.len(), log.lines().len(), others.lines().len()), (6, 1, 5));
    assert_eq!(site.counts().await, (6, 0, 0, 0), "each is done when its worker has ended");
}

/// Its future is gone, as in a `select!`; what it had does not wait until its lease ends.
#[tokio::test]
async fn a_worker_that_is_dropped_gives_back_what_it_ran() {
    let site = Site::new().await;
    let (log, gate, context) = (Log::default(), Arc::new(Semaphore::new(0)), WorkerContext::new("w"));
    let mut mails = site.mails();
    mails.push_bulk(mails_to(3)).await.unwrap();
    let worker = WorkerBuilder::new(&context).backend(mails).build(held(&log, &gate));
    let running = tokio::spawn(worker.run());
    log.until(3).await;
    running.abort();
    until("they are back", async || site.counts().await.1 == 3).await;
    assert!(site.queue.config().lease >= Duration::from_secs(30), "and not because the leases ended");
}

#[tokio::test]
async fn a_monitor_restarts_what_apalis_wraps_around_a_storage() {
    let site = Site::new().await;
    let log = Log::default();
    let mut mails = site.mails();
    mails.push_bulk(mails_to(40)).await.unwrap();
    let seen = log.clone();
    let monitor = Monitor::new().register(move |run| {
        let seen = seen.clone();
        let handler = move |mail: Mail, worker: WorkerContext| {
            seen.add(format!("{} {}", worker.name(), mail.to));
            async { Ok::<_, BoxDynError>(()) }
        };
        WorkerBuilder::new(format!("w-{run}"))
            .backend(mails.clone().poll_with_interval(Duration::from_millis(20)).wake_on_push())
            .concurrency(2)
            .parallelize(tokio::spawn)
            .build(handler)
    });
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let signal = async move { stopped.await.map_err(std::io::Error::other) };
    let monitored = tokio::spawn(monitor.run_with_signal(signal));
    log.until(40).await;
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, monitored).await.expect("it ends").unwrap().unwrap();
    let ran: BTreeSet<_> = log.lines().into_iter().collect();
    assert_eq!((ran.len(), log.lines().len()), (40, 40));
    assert!(ran.iter().all(|line| line.starts_with("w-0 ")), "{ran:?}");
    assert_eq!(site.counts().await, (40, 0, 0, 0));
}

/// Two queues on one connection: each worker gets its own tasks.
#[tokio::test]
async fn workers_get_the_tasks_of_their_queue() {
    let site = Site::new().await;
    let log = Log::default();
    let (mut mails, mut letters) = (site.mails(), site.mails_with(|config| config.queue("letters")));
    mails.push_bulk((0..10).map(|n| mail(format!("mail {n}"))).collect()).await.unwrap();
    letters.push_bulk((0..10).map(|n| mail(format!("letter {n}"))).collect()).await.unwrap();
    let mut works = Vec::new();
    for (name, storage) in [("mail", mails), ("letter", letters)] {
        let (seen, context) = (log.clone(), WorkerContext::new(name));
        let checked = move |task: Task<Mail>| {
            assert_eq!(task.queue().unwrap().as_ref(), format!("{name}s"));
            assert_eq!(task.lock_by(), Some(name));
            task
        };
        let handler = move |mail: Mail, worker: WorkerContext| {
            assert!(mail.to.starts_with(worker.name()), "{} got {}", worker.name(), mail.to);
            seen.add(mail.to);
            async { Ok::<_, BoxDynError>(()) }
        };
        let worker = WorkerBuilder::new(&context).backend(storage).map_request(checked).build(handler);
        works.push(Work::new(&context, worker.run()));
    }
    log.until(20).await;
    for work in works {
        work.stop().await;
    }
    assert_eq!(site.counts().await, (20, 0, 0, 0));
}

#[tokio::test]
async fn a_worker_outlives_an_outage_of_redis() {
    let mut server = RedisServer::start(&[]).unwrap();
    let site = Site::with(quick(config_at(server.url()))).await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    mails.push(mail("before")).await.unwrap();
    log.until(1).await;
    server.stop().unwrap();
    assert!(mails.push(mail("meanwhile")).await.is_err());
    server.resume().unwrap();
    until("tasks are accepted again", async || mails.push(mail("after")).await.is_ok()).await;
    until("it goes on", async || log.lines().contains(&"after".to_owned())).await;
    work.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_paused_goes_on() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    mails.push(mail("first")).await.unwrap();
    log.until(1).await;
    context.pause().unwrap();
    mails.push(mail("second")).await.unwrap();
    context.resume().unwrap();
    assert_eq!(log.until(2).await, ["first", "second"]);
    work.stop().await;
    assert_eq!(site.counts().await, (2, 0, 0, 0));
}
