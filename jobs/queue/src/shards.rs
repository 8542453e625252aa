//! Which shard a partition's jobs are in, and the number of shards that a queue was made with, which each of them
//! remembers.

use futures::future::join_all;
use redis::{Cmd, RedisError};

use crate::config::Wording;
use crate::error::QueueError;
use crate::redis::{Resend, Servers, slot_of};

/// The shards of one queue. All keys of a partition are in one of them, so no call ever needs two.
#[derive(Debug)]
pub(super) struct Shards {
    prefixes: Vec<String>,
    wording: Wording,
}

impl Shards {
    /// At least one.
    pub(super) fn new(prefix: &str, count: u16, wording: Wording) -> Self {
        Self { prefixes: (0..count.max(1)).map(|shard| shard_prefix(prefix, shard)).collect(), wording }
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.prefixes.len()).expect("they were counted with a u16")
    }

    pub(super) fn all(&self) -> std::ops::Range<u16> {
        0..self.count()
    }

    /// The shard with all keys of `partition`.
    pub(super) fn home(&self, partition: &str) -> u16 {
        home(partition, self.count())
    }

    /// The common prefix of a shard's keys.
    pub(super) fn prefix(&self, shard: u16) -> &str {
        &self.prefixes[usize::from(shard)]
    }

    /// The slot of a cluster that each shard is in.
    pub(super) fn slots(&self) -> Vec<u16> {
        self.prefixes.iter().map(|prefix| slot_of(prefix)).collect()
    }
}

/// Everything of one shard lives in one slot of a cluster, hence the hash tag.
pub(super) fn shard_prefix(prefix: &str, shard: u16) -> String {
    format!("{prefix}:{{q.{shard}}}")
}

/// Rendezvous hashing: the shard with the highest score has the partition. When the number of shards grows, partitions
/// move only to the new ones; when it shrinks, only those of the shards that go away move.
///
/// The score of shard `i` is `mix(fnv1a64(partition) + (i + 1) * 0x9e3779b97f4a7c15)` modulo 2^64, with the finalizer
/// of `SplitMix64` as `mix`. Of equal scores the first wins. It must never change: the keys are where it says.
pub(super) fn home(partition: &str, count: u16) -> u16 {
    if count == 1 {
        return 0;
    }
    let name = fnv1a64(partition.as_bytes());
    let (mut best, mut best_score) = (0, 0);
    for shard in 0..count {
        let score = mix(name.wrapping_add((u64::from(shard) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        if shard == 0 || score > best_score {
            (best, best_score) = (shard, score);
        }
    }
    best
}

fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Refuses a queue of another number of shards; a new queue takes ours.
pub(super) async fn check_layout(servers: &Servers, shards: &Shards) -> Result<(), QueueError> {
    let stored = join_all(shards.all().map(|shard| stored(servers, shards, shard))).await;
    let stored: Vec<Option<String>> = stored.into_iter().collect::<Result<_, _>>()?;
    for known in stored.iter().flatten() {
        compare(known, shards)?;
    }
    for (shard, _) in shards.all().zip(&stored).filter(|(_, known)| known.is_none()) {
        let mut claim = redis::cmd("SET");
        claim.arg(key(shards, shard)).arg(shards.count()).arg("NX").arg("GET");
        let before: Option<String> = servers.query(shard, &claim, Resend::Safe).await?;
        before.map_or(Ok(()), |known| compare(&known, shards))?;
    }
    Ok(())
}

/// The key in which a shard stores the number of shards.
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
    let mut skills = Cmd::new();
    skills.arg("EXISTS").arg(format!("{}:L", shards.prefix(shard)));
    let used: bool = servers.query(shard, &skills, Resend::Safe).await?;
    Ok(used.then(|| "1".to_owned()))
}

/// The number of shards as stored by a shard.
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
pub(super) async fn read_layout(servers: &Servers, shards: &Shards) -> Result<Layout, QueueError> {
    stored(servers, shards, 0).await?.map_or(Ok(Layout::Of(1)), |text| Layout::parse(&text))
}

/// Compares a shard's stored number with the wanted one.
fn compare(known: &str, shards: &Shards) -> Result<(), QueueError> {
    let (wanted, wording) = (shards.count(), shards.wording);
    match Layout::parse(known)? {
        Layout::Of(stored) if stored == wanted => Ok(()),
        Layout::Of(stored) => Err(QueueError::Shards { stored, wanted, wording }),
        Layout::Changing { from, to, .. } => Err(QueueError::Resharding { from, to, wording }),
    }
}

/// The answer of a function that was called under another number of shards.
pub(super) fn explained(error: QueueError, shards: &Shards) -> QueueError {
    let known = match &error {
        QueueError::Redis(redis) if redis.code() == Some("SHARDS") => RedisError::detail(redis),
        _ => None,
    };
    known.and_then(|known| compare(known, shards).err()).unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mapping is fixed for ever: after a change, every partition's existing jobs would be in a shard that is not
    /// read for it.
    #[test]
    fn a_partition_is_in_the_same_shard_for_ever() {
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
        let homes = |partition| [1, 2, 3, 4, 16, 64].map(|count| home(partition, count));
        assert_eq!(homes("acme"), [0, 1, 1, 1, 1, 25]);
        assert_eq!(homes("globex"), [0, 1, 1, 1, 14, 54]);
        assert_eq!(homes("initech"), [0, 1, 2, 3, 7, 21]);
        assert_eq!(homes("tenant-000042"), [0, 0, 2, 3, 11, 11]);
    }

    #[test]
    fn partitions_are_spread_evenly_and_move_no_more_than_they_must() {
        let names: Vec<String> = (0..20_000).map(|n| format!("tenant-{n}")).collect();
        let mut counts = [0_u32; 16];
        for name in &names {
            counts[usize::from(home(name, 16))] += 1;
            let (before, after) = (home(name, 4), home(name, 5));
            assert!(after == before || after == 4, "{name} moved from {before} to {after}");
        }
        assert!(counts.iter().all(|count| (1_100..1_400).contains(count)), "{counts:?}");
    }

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
