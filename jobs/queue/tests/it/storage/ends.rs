//! How a task ends when its handler does not simply succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use chrono::TimeDelta;
use fair_queue::clock::{Clock as _, SystemClock};
use fair_queue::storage::{Config, Storage};
use fair_queue::{Cancelled, JobId, JobState, Kept, NewJob, RetryPolicy, Skill};

use super::site::{Log, Mail, Site, Work, id_of, mail};
use crate::support::tenant;
use crate::worker_queue::site::until;

fn at_once(attempts: u32) -> RetryPolicy {
    RetryPolicy { initial_interval: Duration::ZERO, ..RetryPolicy::attempts(attempts) }
}

/// Pushes one task and returns its id.
async fn pushed(storage: &mut Storage<Mail>, task: TaskBuilder<Mail>) -> JobId {
    let id = JobId::generate(SystemClock.now());
    storage.push_task(task.task_id(TaskId::from_string(id.to_string())).build()).await.unwrap();
    id
}

/// The code of a dead letter or a quarantined job.
async fn why(site: &Site, kept: Kept, id: JobId) -> String {
    let kept = site.queue.kept(&tenant("default"), kept, 10).await.unwrap();
    let job = kept.iter().find(|job| job.id == id).expect("it is kept");
    format!("{} {}", job.reason.code, job.reason.text)
}

#[tokio::test]
async fn a_task_that_fails_is_tried_again_until_its_attempts_are_used_up() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails_with(|config| config.retry(at_once(4)));
    let usual = pushed(&mut mails, TaskBuilder::new(mail("usual"))).await;
    let own = pushed(&mut mails, TaskBuilder::new(mail("own")).max_attempts(2)).await;
    let third = pushed(&mut mails, TaskBuilder::new(mail("third"))).await;
    let seen = log.clone();
    let handler = move |mail: Mail, attempt: Attempt| {
        seen.add(format!("{} {}", mail.to, attempt.current()));
        let succeeds = mail.to == "third" && attempt.current() == 3;
        async move { if succeeds { Ok(()) } else { Err(BoxDynError::from("no answer")) } }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    site.until_in(usual, JobState::Discarded).await;
    site.until_in(own, JobState::Discarded).await;
    site.until_in(third, JobState::Completed).await;
    work.stop().await;
    let mut lines = log.lines();
    lines.sort();
    let of = |to: &str, attempts: usize| (1..=attempts).map(|n| format!("{to} {n}")).collect::<Vec<_>>();
    assert_eq!(lines, [of("own", 2), of("third", 3), of("usual", 4)].concat());
    let reason = why(&site, Kept::Discarded, own).await;
    assert_eq!(reason, "attempts_exhausted attempt 2 of 2 failed: no answer");
}

#[tokio::test]
async fn an_error_of_apalis_says_itself_what_becomes_of_the_task() {
    let site = Site::new().await;
    let context = WorkerContext::new("w");
    let mut mails = site.mails();
    let abort = pushed(&mut mails, TaskBuilder::new(mail("abort"))).await;
    let later = pushed(&mut mails, TaskBuilder::new(mail("later"))).await;
    let defer = pushed(&mut mails, TaskBuilder::new(mail("defer"))).await;
    let handler = move |mail: Mail, attempt: Attempt| async move {
        match mail.to.as_str() {
            "abort" => Err(BoxDynError::from(AbortError::new("no such address"))),
            "later" => Err(RetryAfterError::new("busy", Duration::from_secs(3_600)).into()),
            _ if attempt.current() == 1 => Err(DeferredError::new("not yet").into()),
            _ => Ok(()),
        }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    site.until_in(abort, JobState::Discarded).await;
    site.until_in(defer, JobState::Completed).await;
    let status = site.until_in(later, JobState::Retryable).await;
    work.stop().await;
    assert!(why(&site, Kept::Discarded, abort).await.starts_with("aborted AbortError: no such address"));
    let wait = status.at.unwrap() - SystemClock.now();
    assert!(wait > TimeDelta::minutes(50) && wait <= TimeDelta::hours(1), "{wait}");
    assert_eq!(status.attempts, 1);
}

#[tokio::test]
async fn a_handler_that_panics_has_failed_and_takes_no_other_with_it() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails_with(|config| config.retry(at_once(2)));
    let beside = pushed(&mut mails, TaskBuilder::new(mail("beside"))).await;
    let bad = pushed(&mut mails, TaskBuilder::new(mail("bad"))).await;
    let (seen, gate) = (log.clone(), Arc::new(tokio::sync::Notify::new()));
    let opened = Arc::clone(&gate);
    let handler = move |mail: Mail| {
        let (seen, opened) = (seen.clone(), Arc::clone(&opened));
        async move {
            seen.add(&mail.to);
            assert!(mail.to != "bad", "as it happens");
            opened.notified().await;
            Ok::<_, BoxDynError>(())
        }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    site.until_in(bad, JobState::Discarded).await;
    let reason = why(&site, Kept::Discarded, bad).await;
    assert_eq!(reason, "attempts_exhausted attempt 2 of 2 failed: the handler panicked: as it happens");
    until("the other runs", async || log.lines().contains(&"beside".to_owned())).await;
    gate.notify_one();
    let status = site.until_in(beside, JobState::Completed).await;
    work.stop().await;
    assert_eq!(status.interruptions, 0);
    assert_eq!(log.lines().iter().filter(|line| *line == "beside").count(), 1);
}

/// Written by another program, or by another version of this one.
async fn push_unreadable(site: &Site) -> Vec<JobId> {
    let payloads = ["{\"to\":\"ann\"}", "{}\n{\"from\":\"ann\"}", "", "{\"metadata\":1}\n{\"to\":\"ann\"}"];
    let skill = Skill::new("mails", 1, "mails");
    let job =
        |payload: &str| NewJob::new(tenant("default"), skill.clone(), payload.to_owned(), SystemClock.now());
    let jobs = payloads.map(job);
    site.queue.push(&jobs).await.unwrap();
    jobs.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn a_task_that_cannot_be_read_goes_to_quarantine_and_ends_no_worker() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let unreadable = push_unreadable(&site).await;
    mails.push(mail("ann")).await.unwrap();
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    assert_eq!(log.until(1).await, ["ann"]);
    for id in unreadable {
        site.until_in(id, JobState::Quarantined).await;
        let reason = why(&site, Kept::Quarantined, id).await;
        assert!(reason.starts_with("payload_unreadable "), "{reason}");
    }
    work.stop().await;
    assert_eq!(site.counts().await, (1, 0, 0, 4));
}

/// A worker of apalis-workflow decodes by itself; any other ends at the first task that it cannot decode.
#[tokio::test]
async fn with_any_args_the_worker_gets_what_it_cannot_decode() {
    let site = Site::new().await;
    let context = WorkerContext::new("w");
    let config = Config::default().queue("mails").any_args();
    let mut numbers = Storage::<u32>::new(site.queue.clone()).with_config(config.clone());
    numbers.push(7).await.unwrap();
    let mails = Storage::<Mail>::new(site.queue.clone()).with_config(config);
    let handler = |_: Mail| async { Ok::<_, BoxDynError>(()) };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails).build(handler).run());
    let error = work.ended().await.unwrap_err();
    assert!(error.to_string().contains("decoding"), "{error}");
    until("the task is back", async || site.counts().await == (0, 1, 0, 0)).await;
}

/// The handler never looks whether it should stop.
#[tokio::test]
async fn a_task_that_is_cancelled_while_it_runs_does_not_come_back() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails_with(|config| config.concurrency(1));
    mails.push(mail("endless")).await.unwrap();
    let (seen, dropped) = (log.clone(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&dropped);
    let handler = move |mail: Mail, task: TaskId| {
        let (seen, counter) = (seen.clone(), Arc::clone(&counter));
        async move {
            let _dropped = Dropped(counter);
            seen.add(task.to_string());
            if mail.to == "endless" {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxDynError>(())
        }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    let id: JobId = log.until(1).await[0].parse().unwrap();
    assert_eq!(site.queue.cancel(&tenant("default"), id).await.unwrap(), Cancelled::Stopping);
    site.until_in(id, JobState::Cancelled).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "its handler is gone");
    mails.push(mail("next")).await.unwrap();
    log.until(2).await;
    work.stop().await;
    assert_eq!(site.counts().await, (1, 0, 0, 0));
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Layers stand inside of what ends the task.
#[tokio::test]
async fn a_layer_that_refuses_a_task_has_failed_it() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails_with(|config| config.retry(at_once(1)));
    mails.push(mail("a")).await.unwrap();
    let seen = log.clone();
    let noted = move |task: Task<Mail>| {
        seen.add(id_of(task.ctx()).to_string());
        task
    };
    let handler = |_: Mail, _: Data<u8>| async { Ok::<_, BoxDynError>(()) };
    let worker = WorkerBuilder::new(&context).backend(mails).map_request(noted).build(handler);
    let work = Work::new(&context, worker.run());
    let id: JobId = log.until(1).await[0].parse().unwrap();
    site.until_in(id, JobState::Discarded).await;
    work.stop().await;
    let reason = why(&site, Kept::Discarded, id).await;
    assert!(reason.contains("not available"), "no data of that type was given: {reason}");
}
