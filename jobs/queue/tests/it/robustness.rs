//! What happens to Redis, and what people do to its keys.

use std::time::Duration;

use chrono::DateTime;
use fair_queue::clock::ManualClock;
use fair_queue::testing::RedisServer;
use fair_queue::{JobState, Kept, PartitionShare, Queue, QueueError, Reason, Redriven, Verdict};

use crate::support::{Harness, config_at, ids, plain_connection, tenant};

#[tokio::test]
async fn the_library_is_loaded_again_when_redis_lost_it() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let h = Harness::with(config_at(server.url()), ManualClock::at(DateTime::UNIX_EPOCH)).await;
    let mut redis = h.redis().await;
    let mut flush = async || redis::cmd("FUNCTION").arg("FLUSH").query_async::<()>(&mut redis).await.unwrap();
    flush().await;
    h.push(&[h.ping("acme")]).await;
    flush().await;
    let claim = h.fetch(1).await;
    flush().await;
    assert_eq!(h.queue.renew(0, &[claim.fence]).await.unwrap(), [true]);
    flush().await;
    h.complete(&claim).await;
    flush().await;
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().completed_total, 1);
}

#[tokio::test]
async fn case_18_a_redis_that_may_evict_jobs_is_refused() {
    let server = RedisServer::start(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]).unwrap();
    let error = Queue::connect(config_at(server.url())).await.unwrap_err();
    assert!(matches!(&error, QueueError::Eviction(policy) if policy == "allkeys-lru"), "{error}");
    assert!(error.to_string().contains("maxmemory-policy noeviction"), "{error}");
}

/// The policy changes while programs run: nothing is pushed until it is changed back.
#[tokio::test]
async fn case_18_a_redis_that_may_evict_jobs_later_takes_none_until_it_does_not() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let h = Harness::with(config_at(server.url()), ManualClock::at(DateTime::UNIX_EPOCH)).await;
    let mut redis = h.redis().await;
    let mut set = async |policy: &str| {
        let mut config = redis::cmd("CONFIG");
        config.arg("SET").arg("maxmemory-policy").arg(policy).query_async::<()>(&mut redis).await.unwrap();
        h.queue.look_at_memory().await.unwrap();
    };
    h.push(&[h.ping("acme")]).await;
    set("volatile-lru").await;
    assert_eq!(h.queue.eviction_policy().as_deref(), Some("volatile-lru"));
    for jobs in [vec![h.ping("acme")], vec![h.ping("acme"), h.ping("globex")]] {
        let error = h.queue.push(&jobs).await.unwrap_err();
        assert!(matches!(&error, QueueError::Eviction(_)) && error.is_passing(), "{error}");
    }
    let claim = h.fetch(1).await;
    h.complete(&claim).await;
    set("noeviction").await;
    h.push(&[h.ping("acme")]).await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_in_time_that_hides_the_password() {
    let mut config = config_at("redis://:s3cret@127.0.0.1:1".into());
    config.call_deadline = Duration::from_secs(2);
    let error = Queue::connect(config).await.unwrap_err();
    assert!(!fair_queue::describe::report(&error).contains("s3cret") && error.is_passing(), "{error:?}");
    let error = Queue::connect(config_at("not a url, s3cret".into())).await.unwrap_err();
    assert!(!fair_queue::describe::report(&error).contains("s3cret"), "{error:?}");
}

/// Redis stands still, as a hung machine does: the connection is open, but no answer comes.
#[tokio::test]
async fn case_43_a_redis_that_hangs_is_an_error_in_time_and_used_again_after() {
    let server = RedisServer::start(&["--appendonly", "no", "--enable-debug-command", "yes"]).unwrap();
    let mut config = config_at(server.url());
    config.call_deadline = Duration::from_millis(300);
    let queue = Queue::connect(config).await.unwrap();
    let mut sleeper = plain_connection(&server.url()).await;
    let sleep = tokio::spawn(async move {
        redis::cmd("DEBUG").arg("SLEEP").arg(1.5).query_async::<()>(&mut sleeper).await.ok();
    });
    let mut missed = false;
    while !sleep.is_finished() {
        missed |= matches!(queue.ping().await, Err(QueueError::Deadline(_)));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sleep.await.unwrap();
    assert!(missed);
    queue.ping().await.unwrap();
}

/// A Redis whose memory is full refuses new jobs with an error, and recovers as jobs are finished.
#[tokio::test]
async fn a_full_redis_refuses_jobs_and_drains() {
    let server = RedisServer::start(&["--appendonly", "no", "--maxmemory", "8mb"]).unwrap();
    let h = Harness::with(config_at(server.url()), ManualClock::at(DateTime::UNIX_EPOCH)).await;
    let mut accepted = 0;
    let error = loop {
        let jobs: Vec<_> = (0..200).map(|_| h.ping("acme")).collect();
        match h.queue.push(&jobs).await {
            Ok(outcome) => accepted += outcome.accepted,
            Err(error) => break error,
        }
    };
    assert!(fair_queue::describe::report(&error).contains("maxmemory") && error.is_passing(), "{error:?}");
    let mut done = 0;
    while done < accepted {
        let claim = h.fetch(200).await;
        assert!(!claim.jobs.is_empty(), "{done} of {accepted}");
        assert_eq!(h.queue.renew(0, &[claim.fence]).await.unwrap(), [true]);
        done += claim.jobs.len();
        h.complete(&claim).await;
    }
    h.push(&[h.ping("acme")]).await;
}

/// The records that a person, a bug or a disk can leave behind.
fn damaged() -> Vec<Vec<u8>> {
    vec![
        b"".to_vec(),
        b"garbage".to_vec(),
        b"2900000000".to_vec(),
        b"1100000000000000test.ping@1\nacme\n\n{}".to_vec(),
        b"2100000000000000".to_vec(),
        b"2x00000000000000test.ping@1\nacme\n\n{}".to_vec(),
        b"2100000000000000no.such.skill@9\nacme\n\n{}".to_vec(),
        vec![0xff; 40],
    ]
}

async fn overwrite(h: &Harness, id: &str, record: &[u8]) {
    let mut redis = h.redis().await;
    redis::cmd("HSET").arg(h.key("e")).arg(id).arg(record).query_async::<()>(&mut redis).await.unwrap();
}

/// Every operation that meets a damaged record quarantines its job with the reason, and the next one runs.
#[tokio::test]
async fn case_13_a_damaged_record_is_quarantined_by_every_operation_that_reads_it() {
    for record in damaged() {
        let h = Harness::new().await;
        let acme = tenant("acme");
        let jobs: Vec<_> = (0..5).map(|_| h.ping("acme")).collect();
        h.push(&jobs).await;
        let claim = h.fetch(4).await;
        // One is delayed before the damage, and promoted after it.
        assert!(
            h.finish(&claim, 0, Verdict::Retry { after: Duration::from_secs(1), error: String::new() }).await
        );
        for job in &claim.jobs {
            overwrite(&h, &job.id, &record).await;
        }
        assert!(h.finish(&claim, 1, Verdict::Released).await);
        assert!(h.finish(&claim, 2, Verdict::Retry { after: Duration::ZERO, error: String::new() }).await);
        h.let_die().await;
        let rest = h.fetch(10).await;
        let text = String::from_utf8_lossy(&record).into_owned();
        assert_eq!(ids(&rest), [jobs[4].id.to_string()], "{text:?}");
        h.complete(&rest).await;
        let counts = h.queue.stats(&acme).await.unwrap();
        assert_eq!((counts.quarantined, counts.open()), (4, 0), "{text:?}");
        for kept in h.queue.kept(&acme, Kept::Quarantined, 10).await.unwrap() {
            assert_eq!(kept.reason.code, "record_damaged");
            let status = h.queue.lookup(&acme, kept.id).await.unwrap().unwrap();
            assert_eq!(status.state, JobState::Quarantined);
            let redriven = h.queue.redrive(&acme, kept.id).await.unwrap();
            assert_eq!(redriven, Redriven::NotFound, "there is nothing to run");
        }
    }
}

/// A tenant's row that cannot be read costs its settings, not its jobs.
#[tokio::test]
async fn a_damaged_tenant_row_is_rebuilt_from_the_lists() {
    let h = Harness::new().await;
    for name in ["acme", "globex"] {
        let jobs: Vec<_> = (0..3).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
    }
    let mut redis = h.redis().await;
    for row in ["", "x", &"y".repeat(61)] {
        redis::cmd("HSET").arg(h.key("T")).arg("acme").arg(row).query_async::<()>(&mut redis).await.unwrap();
        assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().available, 3);
    }
    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), 6);
    h.complete(&claim).await;
    assert!(h.fetch(10).await.jobs.is_empty());
}

/// Dead letters of one tenant cannot fill the memory.
#[tokio::test]
async fn the_oldest_dead_letters_make_room() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let mut redis = h.redis().await;
    let mut fill = redis::pipe();
    for n in 0..10_000 {
        fill.cmd("ZADD").arg(h.key("t:acme:x")).arg(n).arg(format!("old-{n}")).ignore();
        fill.cmd("HSET").arg(h.key("e")).arg(format!("old-{n}")).arg("record").ignore();
        fill.cmd("HSET").arg(h.key("t:acme:z")).arg(format!("old-{n}")).arg("why").ignore();
    }
    fill.query_async::<()>(&mut redis).await.unwrap();
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Discarded { code: "bad", reason: "new".into() }).await);
    assert_eq!(h.queue.stats(&acme).await.unwrap().discarded, 10_000);
    let newest = h.queue.kept(&acme, Kept::Discarded, 1).await.unwrap();
    assert_eq!(newest[0].reason, Reason { code: "bad".into(), text: "new".into() });
    for key in ["e", "t:acme:z"] {
        let left: i64 =
            redis::cmd("HEXISTS").arg(h.key(key)).arg("old-0").query_async(&mut redis).await.unwrap();
        assert_eq!(left, 0, "{key}");
    }
}

/// A tenant without settings that has been served leaves no key, and what its shard remembers does not grow for ever.
#[tokio::test]
async fn case_32_what_was_served_leaves_little_behind() {
    let h = Harness::new().await;
    h.queue.partition_set(&tenant("acme"), PartitionShare::default()).await.unwrap();
    for _ in 0..5 {
        let jobs: Vec<_> = (0..100).map(|_| h.ping("acme")).collect();
        h.push(&jobs).await;
        let claim = h.fetch(100).await;
        h.complete(&claim).await;
    }
    assert!(h.fetch(1).await.jobs.is_empty());
    let mut redis = h.redis().await;
    let mut left: Vec<String> =
        redis::cmd("KEYS").arg(format!("{}*", h.config.prefix)).query_async(&mut redis).await.unwrap();
    left.retain(|key| !key.contains(":W:"));
    left.sort();
    let expected = ["F", "L", "V", "f", "mk:0", "o", "shards", "u:w1"];
    assert_eq!(left, expected.map(|name| h.key(name)));
}
