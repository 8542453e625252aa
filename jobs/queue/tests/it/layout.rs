//! The number of shards, remembered and insisted on.

use fair_queue::testing::shared_redis_url;
use fair_queue::{Queue, QueueConfig, QueueError};

use crate::support::{Harness, config_at, tenant};

fn with(shards: u16, config: &QueueConfig) -> QueueConfig {
    QueueConfig { shards, ..config.clone() }
}

#[tokio::test]
async fn another_number_of_shards_is_refused_with_the_way_out() {
    let config = config_at(shared_redis_url());
    Queue::connect(with(4, &config)).await.unwrap();
    Queue::connect(with(4, &config)).await.unwrap();
    for wanted in [1, 3, 5] {
        let error = Queue::connect(with(wanted, &config)).await.unwrap_err();
        assert!(matches!(error, QueueError::Shards { stored: 4, .. }), "{error}");
        let text = error.to_string();
        let fix = format!("fair_queue::reshard {wanted}");
        for part in [&format!("QueueConfig::shards is {wanted}"), "QueueConfig::shards=4", &fix] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// A queue from the time before there were shards has one.
#[tokio::test]
async fn a_queue_that_does_not_know_its_number_but_has_jobs_has_one_shard() {
    let h = Harness::new().await;
    h.push(&[h.ping("acme")]).await;
    let mut redis = h.redis().await;
    redis::cmd("DEL").arg(h.key("shards")).query_async::<()>(&mut redis).await.unwrap();
    let error = Queue::connect(with(4, &h.config)).await.unwrap_err();
    assert!(matches!(error, QueueError::Shards { stored: 1, wanted: 4, .. }), "{error}");
    Queue::connect(h.config.clone()).await.unwrap();
}

/// A program that connected before the number of shards changed does nothing wrong afterwards.
#[tokio::test]
async fn a_program_with_the_old_number_is_refused_at_every_step() {
    let h = Harness::new().await;
    let (acme, job) = (tenant("acme"), h.ping("acme"));
    let mut redis = h.redis().await;
    let mut set = async |value: &str| {
        redis::cmd("SET").arg(h.key("shards")).arg(value).query_async::<()>(&mut redis).await.unwrap();
    };
    set("1>4").await;
    let error = h.queue.push(std::slice::from_ref(&job)).await.unwrap_err();
    assert!(matches!(error, QueueError::Resharding { from: 1, to: 4, .. }) && error.is_passing(), "{error}");
    set("4").await;
    let error = h.queue.push(std::slice::from_ref(&job)).await.unwrap_err();
    assert!(
        matches!(error, QueueError::Shards { stored: 4, wanted: 1, .. }) && !error.is_passing(),
        "{error}"
    );
    assert!(h.queue.lookup(&acme, job.id).await.is_err());
    assert!(h.queue.stats(&acme).await.is_err());
    assert!(h.queue.cancel(&acme, job.id).await.is_err());
    set("1").await;
    h.push(&[job]).await;
}
