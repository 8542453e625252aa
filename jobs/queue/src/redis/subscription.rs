//! Listening to a channel: published messages, and when they cannot arrive.

use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, RedisError, Value};
use tokio::time::Interval;

use crate::error::QueueError;

const PING_EVERY: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(2);
/// The pause before the next connection, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A subscription to one channel, on any node: all nodes of a cluster forward published messages. It connects again
/// whenever the connection is lost; what was published meanwhile is missed.
#[derive(Debug)]
pub struct Subscription {
    nodes: Vec<Client>,
    channel: String,
    deadline: Duration,
    /// How often a connection was tried, which decides which node is next.
    tried: usize,
    pause: Option<Duration>,
    live: Option<Live>,
}

/// What happened to a [`Subscription`].
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// From now on messages arrive.
    Live,
    /// This was published.
    Message(Vec<u8>),
    /// Messages no longer arrive. It connects again.
    Lost,
    /// A node could not be reached. It tries the next one after a pause.
    Unreachable(QueueError),
}

struct Live {
    sink: PubSubSink,
    stream: PubSubStream,
    ping: Interval,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Subscription {
    /// On one of `nodes`, of which there is at least one.
    pub(super) fn new(nodes: Vec<Client>, channel: &str, deadline: Duration) -> Self {
        Self { nodes, channel: channel.to_owned(), deadline, tried: 0, pause: None, live: None }
    }

    /// Waits for the next event. There is always a next one.
    pub async fn next(&mut self) -> SubscriptionEvent {
        if let Some(live) = &mut self.live {
            if let Some(message) = live.next().await {
                return SubscriptionEvent::Message(message);
            }
            self.live = None;
            return SubscriptionEvent::Lost;
        }
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
        self.pause = Some(self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE)));
        let node = &self.nodes[self.tried % self.nodes.len()];
        self.tried += 1;
        match tokio::time::timeout(self.deadline, Live::open(node, &self.channel)).await {
            Ok(Ok(live)) => {
                self.live = Some(live);
                self.pause = Some(FIRST_PAUSE);
                SubscriptionEvent::Live
            }
            Ok(Err(error)) => SubscriptionEvent::Unreachable(QueueError::Redis(error)),
            Err(_) => SubscriptionEvent::Unreachable(QueueError::Deadline(self.deadline)),
        }
    }
}

impl Live {
    async fn open(node: &Client, channel: &str) -> Result<Self, RedisError> {
        let mut connection = node.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        let (sink, stream) = connection.split();
        Ok(Self { sink, stream, ping: tokio::time::interval(PING_EVERY) })
    }

    /// The next message; `None` when the connection ended, or a ping finds it dead.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            tokio::select! {
                message = self.stream.next() => return Some(message?.get_payload_bytes().to_vec()),
                _ = self.ping.tick() => {
                    let answer = tokio::time::timeout(PING_LIMIT, self.sink.ping::<Value>());
                    if !matches!(answer.await, Ok(Ok(_))) {
                        return None;
                    }
                }
            }
        }
    }
}
