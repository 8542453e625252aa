//! Hearing that a tenant changed.

use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};

use super::Answers;
use super::news::CHANNEL;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Listens for as long as it is polled, and connects again whenever the connection is lost: to any node of a
/// cluster, because all of them pass the news on.
pub(super) async fn listen(nodes: Vec<redis::Client>, answers: Answers) {
    let mut wait = RETRY_FIRST;
    for node in nodes.iter().cycle() {
        match tokio::time::timeout(CONNECT_LIMIT, subscribe(node)).await {
            Ok(Ok((sink, stream))) => {
                answers.set_news_arrive(true);
                wait = RETRY_FIRST;
                hear(sink, stream, &answers).await;
                answers.set_news_arrive(false);
                tracing::warn!("directory news lost, connecting again");
            }
            Ok(Err(error)) => tracing::warn!(%error, "no directory news"),
            Err(_) => tracing::warn!("no directory news: redis did not answer in time"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

async fn subscribe(client: &redis::Client) -> redis::RedisResult<(PubSubSink, PubSubStream)> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(CHANNEL).await?;
    Ok(subscription.split())
}

/// Forgets each tenant that is called out, until the connection ends or a ping finds it dead.
async fn hear(mut sink: PubSubSink, mut stream: PubSubStream, answers: &Answers) {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return };
                let text: Result<String, _> = message.get_payload();
                if let Some(tenant) = text.ok().and_then(|text| text.parse().ok()) {
                    answers.forget(&tenant);
                }
            }
            _ = ping.tick() => {
                let answer = tokio::time::timeout(PING_LIMIT, sink.ping::<redis::Value>());
                if !matches!(answer.await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}
