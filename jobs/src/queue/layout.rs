//! The number of shards that a queue was made with, which each of its shards remembers.

use futures::future::join_all;
use redis::{Cmd, RedisError};

use super::connection::Resend;
use super::error::QueueError;
use super::servers::Servers;
use super::shards::Shards;

/// Refuses a queue of another number of shards; a new queue takes ours.
pub(super) async fn check(servers: &Servers, shards: &Shards) -> Result<(), QueueError> {
    let stored = join_all(shards.all().map(|shard| stored(servers, shards, shard))).await;
    let stored: Vec<Option<String>> = stored.into_iter().collect::<Result<_, _>>()?;
    for known in stored.iter().flatten() {
        compare(known, shards.count())?;
    }
    for (shard, _) in shards.all().zip(&stored).filter(|(_, known)| known.is_none()) {
        let mut claim = redis::cmd("SET");
        claim.arg(key(shards, shard)).arg(shards.count()).arg("NX").arg("GET");
        let before: Option<String> = servers.query(shard, &claim, Resend::Safe).await?;
        before.map_or(Ok(()), |known| compare(&known, shards.count()))?;
    }
    Ok(())
}

/// Where a shard remembers the number.
pub(super) fn key(shards: &Shards, shard: u16) -> String {
    format!("{}:shards", shards.prefix(shard))
}

async fn stored(servers: &Servers, shards: &Shards, shard: u16) -> Result<Option<String>, QueueError> {
    let known: Option<String> =
        servers.query(shard, redis::cmd("GET").arg(key(shards, shard)), Resend::Safe).await?;
    if known.is_some() || shard > 0 {
        return Ok(known);
    }
    // Queues had one shard before they could have several.
    let mut lanes = Cmd::new();
    lanes.arg("EXISTS").arg(format!("{}:L", shards.prefix(shard)));
    let used: bool = servers.query(shard, &lanes, Resend::Safe).await?;
    Ok(used.then(|| "1".to_owned()))
}

/// Compares what a shard remembers with the number wanted.
pub(super) fn compare(known: &str, wanted: u16) -> Result<(), QueueError> {
    let unreadable = || QueueError::Answer("the number of shards");
    if let Some((from, to)) = known.split_once('>') {
        let number = |text: &str| text.parse().map_err(|_| unreadable());
        return Err(QueueError::Resharding { from: number(from)?, to: number(to)? });
    }
    let stored: u16 = known.parse().map_err(|_| unreadable())?;
    if stored == wanted { Ok(()) } else { Err(QueueError::Shards { stored, wanted }) }
}

/// What a function says that was called under another number.
pub(super) fn explained(error: QueueError, wanted: u16) -> QueueError {
    let known = match &error {
        QueueError::Redis(redis) if redis.code() == Some("SHARDS") => RedisError::detail(redis),
        _ => None,
    };
    known.and_then(|known| compare(known, wanted).err()).unwrap_or(error)
}
