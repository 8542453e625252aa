//! What a board lists: every answer on a queue that has what it tells of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use apalis::prelude::*;
use fair_queue::clock::Clock as _;
use fair_queue::storage::{Config, Storage};
use fair_queue::testing::shared_redis_url;
use fair_queue::{JobId, NewJob, PartitionShare, QueueConfig, Skill, Verdict};

use super::site::{Log, Mail, Site, Work, acme, mail, mails_to};
use crate::support::{Harness, config_at, tenant};

/// Two storages on a queue whose clock the test holds.
struct Board {
    h: Harness,
    mails: Storage<Mail>,
    letters: Storage<Mail>,
}

fn filter(status: Option<Status>, page: u32, page_size: u32) -> Filter {
    Filter { status, page, page_size: Some(page_size) }
}

fn recipients(tasks: &[Task<Vec<u8>>]) -> Vec<String> {
    tasks.iter().map(|task| serde_json::from_slice::<Mail>(&task.args).unwrap().to).collect()
}

fn numbers(statistics: &[Statistic]) -> BTreeMap<&str, u64> {
    let all = statistics.iter();
    all.map(|statistic| (statistic.title.as_str(), statistic.value.parse().unwrap())).collect()
}

impl Board {
    async fn new() -> Self {
        let mut h = Harness::new().await;
        h.skills = vec![Skill::new("mails", 1, "mails")];
        let storage =
            |queue: &str| Storage::<Mail>::new(h.queue.clone()).with_config(Config::default().queue(queue));
        Self { mails: storage("mails"), letters: storage("letters"), h }
    }

    /// One task in every state, each called like it; that which is done is gone.
    async fn filled() -> Self {
        let mut board = Self::new().await;
        for to in ["done", "dead", "quarantined", "retryable", "active"] {
            board.push(to, |task| task).await;
        }
        let claim = board.h.fetch(5).await;
        assert_eq!(claim.jobs.len(), 5);
        board.h.finish(&claim, 0, Verdict::Completed).await;
        board.h.finish(&claim, 1, Verdict::Discarded { code: "aborted", reason: "no address".into() }).await;
        board.h.finish(&claim, 2, Verdict::Quarantined { code: "forged", reason: String::new() }).await;
        let retry = Verdict::Retry { after: Duration::from_secs(60), error: "busy".into() };
        board.h.finish(&claim, 3, retry).await;
        let later = u64::try_from(board.h.clock.now().timestamp()).unwrap() + 60;
        board.push("scheduled", |task| task.run_at_timestamp(later)).await;
        board.push("available", |task| task).await;
        board
    }

    async fn push(&mut self, to: &str, change: impl FnOnce(TaskBuilder<Mail>) -> TaskBuilder<Mail>) {
        let task = TaskBuilder::new(mail(to)).task_id(TaskId::from_string(to));
        self.mails.push_task(change(task).build()).await.unwrap();
    }
}

#[tokio::test]
async fn tasks_are_listed_by_status() {
    let board = Board::filled().await;
    let mut all = BTreeSet::new();
    for (status, expected) in [
        (Status::Pending, vec!["available", "scheduled"]),
        (Status::Queued, vec![]),
        (Status::Running, vec!["active"]),
        (Status::Failed, vec!["retryable"]),
        (Status::Killed, vec!["dead", "quarantined"]),
        (Status::Done, vec![]),
    ] {
        let tasks = board.mails.list_tasks(&filter(Some(status.clone()), 1, 100)).await.unwrap();
        let mut found = recipients(&tasks);
        found.sort();
        assert_eq!(found, expected, "{status}");
        for task in &tasks {
            assert_eq!(task.status(), status);
            assert_eq!(task.queue().unwrap().as_ref(), "mails");
            assert_eq!(task.metadata().get("partition"), Some("default"));
        }
        all.extend(found);
    }
    let tasks = board.mails.list_tasks(&filter(None, 1, 100)).await.unwrap();
    assert_eq!(recipients(&tasks).into_iter().collect::<BTreeSet<_>>(), all);
    let dead = tasks.iter().find(|task| task.task_id().unwrap().to_string() == "dead").unwrap();
    assert_eq!(dead.metadata().get("error"), Some("aborted no address"));
}

#[tokio::test]
async fn pages_together_show_every_task_once() {
    let mut board = Board::new().await;
    for n in 0..23 {
        let partition = tenant(["acme", "bolt", "crane"][n % 3]);
        board.push(&n.to_string(), |task| task.metadata(&partition)).await;
    }
    let claim = board.h.fetch(6).await;
    for index in 0..claim.jobs.len() {
        let dead = Verdict::Discarded { code: "aborted", reason: String::new() };
        board.h.finish(&claim, index, dead).await;
    }
    let mut shown = Vec::new();
    for page in 1..=4 {
        let tasks = board.mails.list_tasks(&filter(None, page, 7)).await.unwrap();
        assert_eq!(tasks.len(), if page < 4 { 7 } else { 2 }, "page {page}");
        shown.extend(recipients(&tasks));
    }
    assert!(board.mails.list_tasks(&filter(None, 5, 7)).await.unwrap().is_empty());
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), 23, "{shown:?}");
    // Without a size and from before the first page, as a board may ask.
    let usual = Filter { status: None, page: 0, page_size: None };
    assert_eq!(recipients(&board.mails.list_tasks(&usual).await.unwrap()), shown[..10]);
    assert_eq!(board.mails.list_tasks(&filter(Some(Status::Killed), 2, 4)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_tasks_of_all_queues_are_those_of_other_programs_too() {
    let mut board = Board::filled().await;
    board.letters.push(mail("letter")).await.unwrap();
    let skill = Skill::new("document.ingest", 1, "ingest");
    let raw = NewJob::new(acme(), skill, "{\"stamp\":1}", board.h.clock.now());
    board.h.push(std::slice::from_ref(&raw)).await;

    let all = board.mails.list_all_tasks(&filter(None, 1, 100)).await.unwrap();
    let queues = |name: &str| all.iter().filter(|task| task.queue().unwrap().as_ref() == name).count();
    assert_eq!((queues("mails"), queues("letters"), queues("ingest"), all.len()), (6, 1, 1, 8));
    let other = all.iter().find(|task| task.queue().unwrap().as_ref() == "ingest").unwrap();
    assert_eq!((&other.args[..], other.metadata().get("partition")), (&b"{\"stamp\":1}"[..], Some("acme")));
    assert_eq!(other.task_id().unwrap().to_string(), raw.id.to_string());
    assert_eq!(recipients(&board.letters.list_tasks(&filter(None, 1, 100)).await.unwrap()), ["letter"]);
}

/// Else a board would show none of them.
#[tokio::test]
async fn a_task_that_cannot_be_read_is_not_in_the_list_of_its_queue() {
    let mut board = Board::new().await;
    let job = |payload: &str| {
        NewJob::new(
            tenant("default"),
            Skill::new("mails", 1, "mails"),
            payload.to_owned(),
            board.h.clock.now(),
        )
    };
    board.h.push(&[job("not a task"), job("{}\n\"no mail\"")]).await;
    board.push("ann", |task| task).await;
    let listed = board.mails.list_tasks(&filter(None, 1, 100)).await.unwrap();
    assert_eq!(recipients(&listed), ["ann"]);
    assert_eq!(board.mails.list_all_tasks(&filter(None, 1, 100)).await.unwrap().len(), 3);
    assert_eq!(numbers(&board.mails.fetch_by_queue().await.unwrap())["PENDING_JOBS"], 3);
}

#[tokio::test]
async fn a_task_is_found_by_its_id_in_any_partition() {
    let mut board = Board::filled().await;
    board.push("elsewhere", |task| task.metadata(&acme()).max_attempts(3)).await;
    for (id, status, attempt) in [
        ("scheduled", Status::Pending, 0),
        ("active", Status::Running, 0),
        ("retryable", Status::Failed, 1),
        ("dead", Status::Killed, 0),
        ("quarantined", Status::Killed, 0),
        ("elsewhere", Status::Pending, 0),
    ] {
        let found = board.mails.fetch_by_id(&TaskId::from_string(id)).await.unwrap().expect(id);
        assert_eq!(recipients(std::slice::from_ref(&found)), [id]);
        assert_eq!((found.status(), found.attempt()), (status, attempt), "{id}");
        assert_eq!(found.task_id().unwrap().to_string(), id);
    }
    let elsewhere = board.mails.fetch_by_id(&TaskId::from_string("elsewhere")).await.unwrap().unwrap();
    assert_eq!((elsewhere.metadata().get("partition"), elsewhere.max_attempts()), (Some("acme"), Some(3)));
    for gone in ["done", "never"] {
        assert!(board.mails.fetch_by_id(&TaskId::from_string(gone)).await.unwrap().is_none(), "{gone}");
    }
    board.letters.push(mail("letter")).await.unwrap();
    let letter = board.letters.list_tasks(&filter(None, 1, 1)).await.unwrap().remove(0);
    let id = letter.task_id().unwrap();
    assert!(board.letters.fetch_by_id(id).await.unwrap().is_some());
    assert!(board.mails.fetch_by_id(id).await.unwrap().is_none(), "it is of another queue");
}

#[tokio::test]
async fn a_dead_letter_is_resumed_by_its_id() {
    let mut board = Board::filled().await;
    for (id, resumed) in [("dead", true), ("quarantined", true), ("active", false), ("never", false)] {
        let done = board.mails.resume_by_id(TaskId::from_string(id)).await.unwrap();
        assert_eq!(done, resumed, "{id}");
    }
    let pending = board.mails.list_tasks(&filter(Some(Status::Pending), 1, 100)).await.unwrap();
    let found: BTreeSet<_> = recipients(&pending).into_iter().collect();
    assert_eq!(found, ["available", "dead", "quarantined", "scheduled"].map(str::to_owned).into());
    assert!(board.letters.resume_by_id(TaskId::from_string("dead")).await.is_ok_and(|resumed| !resumed));
}

/// The queue of the board alone, and one of several.
#[tokio::test]
async fn counts_are_those_of_the_queue() {
    let mut board = Board::filled().await;
    let alone = board.mails.fetch_by_queue().await.unwrap();
    let expected = [
        ("DONE_JOBS", 1),
        ("FAILED_JOBS", 1),
        ("KILLED_JOBS", 2),
        ("PENDING_JOBS", 2),
        ("RUNNING_JOBS", 1),
        ("TOTAL_JOBS", 7),
    ];
    assert_eq!(numbers(&alone), expected.into());
    assert!(alone.is_sorted_by_key(|statistic| statistic.priority), "{alone:?}");

    board.letters.push_bulk(mails_to(250)).await.unwrap();
    let task = TaskBuilder::new(mail("x")).metadata(&acme()).build();
    board.letters.push_task(task).await.unwrap();
    board.push("second", |task| task.metadata(&acme())).await;
    let mut cancelled = board.letters.list_tasks(&filter(None, 1, 200)).await.unwrap();
    let cancelled = cancelled.pop().unwrap();
    let id: JobId = cancelled.task_id().unwrap().to_string().parse().unwrap();
    let partition = tenant(cancelled.metadata().get("partition").unwrap());
    board.h.queue.cancel(&partition, id).await.unwrap();

    let mails = board.mails.fetch_by_queue().await.unwrap();
    let expected = [("FAILED_JOBS", 1), ("KILLED_JOBS", 2), ("PENDING_JOBS", 3), ("RUNNING_JOBS", 1)];
    assert_eq!(numbers(&mails), expected.into(), "how many are done is known of all queues together");
    let letters = board.letters.fetch_by_queue().await.unwrap();
    let expected = [("FAILED_JOBS", 0), ("KILLED_JOBS", 0), ("PENDING_JOBS", 250), ("RUNNING_JOBS", 0)];
    assert_eq!(numbers(&letters), expected.into());

    let all = board.letters.global().await.unwrap();
    let all = numbers(&all);
    assert_eq!((all["PENDING_JOBS"], all["DONE_JOBS"], all["TOTAL_JOBS"]), (253, 1, 258));
}

#[tokio::test]
async fn tasks_of_all_shards_are_found_and_counted() {
    let site = Site::with(QueueConfig { shards: 4, ..config_at(shared_redis_url()) }).await;
    let mut mails = site.mails();
    let names: Vec<_> = (0..12).map(|n| format!("shop-{n}")).collect();
    for name in &names {
        let task = TaskBuilder::new(mail(name)).task_id(TaskId::from_string(name));
        mails.push_task(task.metadata(&tenant(name)).build()).await.unwrap();
    }
    assert_eq!(names.iter().map(|name| site.queue.home(&tenant(name))).collect::<BTreeSet<_>>().len(), 4);
    let listed: BTreeSet<_> =
        recipients(&mails.list_tasks(&filter(None, 1, 100)).await.unwrap()).into_iter().collect();
    assert_eq!(listed, names.iter().cloned().collect());
    for name in &names {
        assert!(mails.fetch_by_id(&TaskId::from_string(name)).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(numbers(&mails.global().await.unwrap())["PENDING_JOBS"], 12);
    let (context, log) = (WorkerContext::new("w"), Log::default());
    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(mail.to);
        async { Ok::<_, BoxDynError>(()) }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    log.until(12).await;
    assert_eq!(mails.list_workers().await.unwrap().len(), 1, "a worker is one, in however many shards");
    work.stop().await;
    assert_eq!(numbers(&mails.global().await.unwrap())["DONE_JOBS"], 12);
}

/// Its tasks are pending, whatever the queue calls that.
#[tokio::test]
async fn the_tasks_of_a_suspended_partition_are_pending() {
    let mut board = Board::new().await;
    board.push("a", |task| task).await;
    board.letters.push(mail("b")).await.unwrap();
    let suspended = PartitionShare { suspended: Some(true), ..PartitionShare::default() };
    board.h.queue.partition_set(&tenant("default"), suspended).await.unwrap();
    let counts = board.mails.fetch_by_queue().await.unwrap();
    assert_eq!(numbers(&counts)["PENDING_JOBS"], 1);
    let listed = board.mails.list_tasks(&filter(Some(Status::Pending), 1, 10)).await.unwrap();
    assert_eq!(recipients(&listed), ["a"]);
}

#[tokio::test]
async fn queues_are_listed_with_their_counts_and_workers() {
    let mut board = Board::filled().await;
    assert_eq!(board.mails.list_queues().await.unwrap().len(), 1);
    board.letters.push(mail("letter")).await.unwrap();
    board.h.queue.heartbeat("mails-1.1799999990.9f3a", &board.h.skills, true).await.unwrap();
    let queues = board.letters.list_queues().await.unwrap();
    let shown: Vec<_> = queues
        .iter()
        .map(|queue| (queue.name.as_str(), numbers(&queue.stats)["PENDING_JOBS"], queue.workers.clone()))
        .collect();
    let none = Vec::new();
    assert_eq!(shown, [("letters", 1, none), ("mails", 2, vec!["mails-1-9f3a".to_owned()])]);
    assert!(queues.iter().all(|queue| queue.activity.is_empty()), "the queue keeps no history of days");
}

#[tokio::test]
async fn workers_are_listed_while_they_live() {
    let board = Board::new().await;
    let (mails, letters) = ([Skill::new("mails", 1, "mails")], [Skill::new("letters", 1, "letters")]);
    let queue = &board.h.queue;
    queue.heartbeat("mails-1.1799999990.9f3a", &mails, true).await.unwrap();
    board.h.clock.advance(Duration::from_secs(10));
    queue.heartbeat("mails-1.1799999999.77aa", &mails, true).await.unwrap();
    queue.heartbeat("c0ffee", &letters, true).await.unwrap();

    let listed = board.mails.list_workers().await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|worker| (worker.id.as_str(), worker.queue.as_str(), worker.started_at, worker.last_heartbeat))
        .collect();
    let expected = [
        ("mails-1-77aa", "mails", 1_799_999_999, 1_800_000_010),
        ("mails-1-9f3a", "mails", 1_799_999_990, 1_800_000_000),
    ];
    assert_eq!(shown, expected);
    let all = board.mails.list_all_workers().await.unwrap();
    assert_eq!(
        all.iter().map(|worker| worker.queue.as_str()).collect::<Vec<_>>(),
        ["letters", "mails", "mails"]
    );

    board.h.clock.advance(Duration::from_secs(10));
    let listed = board.mails.list_workers().await.unwrap();
    assert_eq!(listed.len(), 1, "the first has been silent for long");
    queue.heartbeat("mails-1.1799999999.77aa", &mails, false).await.unwrap();
    assert!(board.mails.list_workers().await.unwrap().is_empty(), "the second has left");
}
