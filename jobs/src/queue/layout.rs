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
fn key(shards: &Shards, shard: u16) -> String {
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

/// What a shard remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// The queue has so many shards.
    Of(u16),
    /// The number is being changed; and whether everything that moves has been copied.
    Changing { from: u16, to: u16, copied: bool },
}

impl Layout {
    /// The form in which it is remembered.
    pub(super) fn text(self) -> String {
        match self {
            Self::Of(count) => count.to_string(),
            Self::Changing { from, to, copied } => format!("{from}>{to}{}", if copied { "!" } else { "" }),
        }
    }

    fn parse(text: &str) -> Result<Self, QueueError> {
        let number = |text: &str| text.parse().map_err(|_| QueueError::Answer("the number of shards"));
        let Some((from, to)) = text.split_once('>') else { return number(text).map(Self::Of) };
        let (from, copied) = (number(from)?, to.ends_with('!'));
        Ok(Self::Changing { from, to: number(to.trim_end_matches('!'))?, copied })
    }
}

/// What the first shard remembers, which decides. A new queue has one shard.
pub(super) async fn read(servers: &Servers, shards: &Shards) -> Result<Layout, QueueError> {
    stored(servers, shards, 0).await?.map_or(Ok(Layout::Of(1)), |text| Layout::parse(&text))
}

/// Compares what a shard remembers with the number wanted.
fn compare(known: &str, wanted: u16) -> Result<(), QueueError> {
    match Layout::parse(known)? {
        Layout::Of(stored) if stored == wanted => Ok(()),
        Layout::Of(stored) => Err(QueueError::Shards { stored, wanted }),
        Layout::Changing { from, to, .. } => Err(QueueError::Resharding { from, to }),
    }
}

/// What a function says that was called under another number.
pub(super) fn explained(error: QueueError, wanted: u16) -> QueueError {
    let known = match &error {
        QueueError::Redis(redis) if redis.code() == Some("SHARDS") => RedisError::detail(redis),
        _ => None,
    };
    known.and_then(|known| compare(known, wanted).err()).unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_remembered_as_it_is() {
        let changing = |copied| Layout::Changing { from: 4, to: 16, copied };
        for (layout, text) in [(Layout::Of(4), "4"), (changing(false), "4>16"), (changing(true), "4>16!")] {
            assert_eq!(layout.text(), text);
            assert_eq!(Layout::parse(text).unwrap(), layout);
        }
        for damaged in ["", "x", "4>", ">4", "4>!", "70000"] {
            assert!(Layout::parse(damaged).is_err(), "{damaged}");
        }
    }
}
