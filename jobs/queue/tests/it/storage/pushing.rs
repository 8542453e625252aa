//! Every way to push a task, and what a task may say about itself.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use chrono::DateTime;
use fair_queue::clock::ManualClock;
use fair_queue::storage::{Storage, StorageError};
use fair_queue::testing::shared_redis_url;
use fair_queue::{FetchedJob, JobState, PartitionId, PartitionShare};

use super::site::{Log, Mail, Site, Work, acme, mail, mails_to};
use crate::support::{config_at, tenant};
use crate::worker_queue::site::until;

#[tokio::test]
async fn tasks_that_are_pushed_in_every_way_run_once() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let seen = log.clone();
    let worker = WorkerBuilder::new(&context).backend(mails.clone()).build(move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    });
    let work = Work::new(&context, worker.run());
    mails.push(mail("one")).await.unwrap();
    mails.push_bulk(vec![mail("two"), mail("three")]).await.unwrap();
    // More than a sink holds at a time.
    mails.push_stream(futures::stream::iter(mails_to(1_200))).await.unwrap();
    let built = |to: &str| TaskBuilder::new(mail(to)).max_attempts(3).build();
    mails.push_task(built("four")).await.unwrap();
    mails.push_all(futures::stream::iter(["five", "six"].map(built))).await.unwrap();

    let ran = log.until(1_206).await;
    work.stop().await;
    assert_eq!(ran.iter().collect::<BTreeSet<_>>().len(), 1_206);
    assert_eq!(log.lines().len(), 1_206, "none runs twice");
    assert_eq!(site.counts().await, (1_206, 0, 0, 0));
}

/// The partition of the metadata, of the settings, or the default.
#[tokio::test]
async fn a_task_belongs_to_the_partition_that_it_names() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    site.mails().push(mail("a")).await.unwrap();
    site.mails().push_task(TaskBuilder::new(mail("b")).metadata(&acme()).build()).await.unwrap();
    site.mails_with(|config| config.partition(tenant("shop"))).push(mail("c")).await.unwrap();
    let seen = log.clone();
    let handler = move |mail: Mail, Meta(named): Meta<PartitionId>, job: Data<FetchedJob>| {
        assert_eq!(named, job.partition);
        seen.add(format!("{} {named}", mail.to));
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(site.mails()).build(handler).run());
    let mut ran = log.until(3).await;
    work.stop().await;
    ran.sort();
    assert_eq!(ran, ["a default", "b acme", "c shop"]);
    for name in ["default", "acme", "shop"] {
        assert_eq!(site.queue.stats(&tenant(name)).await.unwrap().completed_total, 1, "{name}");
    }
}

#[tokio::test]
async fn a_task_that_names_no_partition_or_exceeds_a_quota_is_refused() {
    let site = Site::new().await;
    let mut metadata = MetadataStore::new();
    metadata.insert("partition", "Acme & Sons").unwrap();
    let task = TaskBuilder::new(mail("a")).with_metadata(metadata).build();
    let error = site.mails().push_task(task).await.unwrap_err();
    assert!(matches!(error, TaskSinkError::PushError(StorageError::Partition(_))), "{error}");

    let share = PartitionShare { backlog_jobs: Some(1), ..PartitionShare::default() };
    site.queue.partition_set(&tenant("default"), share).await.unwrap();
    site.mails().push(mail("b")).await.unwrap();
    let mut mails = site.mails();
    let error = mails.push(mail("c")).await.unwrap_err();
    assert!(matches!(error, TaskSinkError::PushError(StorageError::Queue(_))), "{error}");
    assert_eq!(site.counts().await.1, 1);

    let more = PartitionShare { backlog_jobs: Some(9), ..PartitionShare::default() };
    site.queue.partition_set(&tenant("default"), more).await.unwrap();
    mails.push(mail("d")).await.unwrap();
    assert_eq!(site.counts().await.1, 2, "what was refused is not pushed later");
}

#[tokio::test]
async fn a_task_for_later_waits_for_its_time() {
    let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let mut config = config_at(shared_redis_url());
    config.clock = Some(Arc::new(clock.clone()));
    let site = Site::with(config).await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    for (to, at) in [("later", 1_800_000_060), ("past", 1_700_000_000), ("now", 1_800_000_000)] {
        mails.push_task(TaskBuilder::new(mail(to)).run_at_timestamp(at).build()).await.unwrap();
    }
    let stats = site.queue.stats(&tenant("default")).await.unwrap();
    assert_eq!((stats.scheduled, stats.available), (1, 2));
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    until("the others ran", async || site.counts().await == (2, 1, 0, 0)).await;
    assert!(!log.lines().contains(&"later".to_owned()));
    clock.advance(Duration::from_secs(60));
    assert_eq!(log.until(3).await[2], "later");
    work.stop().await;
}

/// A higher number goes first, as in apalis' other storages.
#[tokio::test]
async fn a_task_of_higher_priority_goes_first() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails_with(|config| config.concurrency(1));
    for (to, priority) in [("usual", 0), ("urgent", 5)] {
        mails.push_task(TaskBuilder::new(mail(to)).priority(priority).build()).await.unwrap();
    }
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    assert_eq!(log.until(2).await, ["urgent", "usual"]);
    work.stop().await;
}

/// Also after the first has ended, and in its partition alone.
#[tokio::test]
async fn of_two_tasks_with_one_idempotency_key_the_first_runs() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let once = |to: &str| TaskBuilder::new(mail(to)).idempotency_key("order-7");
    mails.push_task(once("first").build()).await.unwrap();
    mails.push_task(once("second").build()).await.unwrap();
    mails.push_task(once("other").metadata(&acme()).build()).await.unwrap();
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    let mut ran = log.until(2).await;
    ran.sort();
    assert_eq!(ran, ["first", "other"]);
    until("it is done", async || site.counts().await == (1, 0, 0, 0)).await;
    mails.push_task(once("third").build()).await.unwrap();
    mails.push(mail("last")).await.unwrap();
    assert_eq!(log.until(3).await[2], "last");
    work.stop().await;
    assert_eq!(site.counts().await, (2, 0, 0, 0));
}

/// An id may be any text. A task whose id is waiting is not pushed again.
#[tokio::test]
async fn a_task_keeps_the_id_that_it_was_given() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let given = |id: &str| TaskBuilder::new(mail(id)).task_id(TaskId::from_string(id)).build();
    for id in ["order-7", "order-7", "42"] {
        mails.push_task(given(id)).await.unwrap();
    }
    assert_eq!(site.counts().await.1, 2);
    let seen = log.clone();
    let handler = move |mail: Mail, id: TaskId| {
        assert_eq!(mail.to, id.to_string());
        seen.add(id.to_string());
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    let mut ran = log.until(2).await;
    ran.sort();
    assert_eq!(ran, ["42", "order-7"]);
    work.stop().await;
}

/// Numbers as Roman numerals would do as well.
#[derive(Debug, Clone)]
struct Decimal;

impl Codec<u64> for Decimal {
    type Error = std::num::ParseIntError;
    type Compact = Vec<u8>;

    fn encode(&self, number: &u64) -> Result<Vec<u8>, Self::Error> {
        Ok(format!("{number:>8}").into_bytes())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<u64, Self::Error> {
        String::from_utf8_lossy(bytes).trim().parse()
    }
}

#[tokio::test]
async fn arguments_are_written_by_the_storages_codec() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut numbers = Storage::<u64>::new(site.queue.clone()).with_codec(Decimal);
    numbers.push(42).await.unwrap();
    let page =
        site.queue.list(&tenant("default"), &fair_queue::JobFilter::default(), None, 10).await.unwrap();
    assert_eq!((page.jobs[0].state, &page.jobs[0].payload[..]), (JobState::Available, &b"{}\n      42"[..]));
    assert_eq!(page.jobs[0].skill, "u64@1", "a queue is called like the type of its arguments");
    let seen = log.clone();
    let handler = move |number: u64| {
        seen.add(number.to_string());
        async { Ok::<_, Infallible>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(numbers).build(handler).run());
    assert_eq!(log.until(1).await, ["42"]);
    work.stop().await;
}
