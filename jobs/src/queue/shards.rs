//! Which shard a tenant's jobs are in.

/// The shards of one queue. Everything of a tenant is in one of them, so no call ever needs two.
#[derive(Debug)]
pub(super) struct Shards {
    prefixes: Vec<String>,
}

impl Shards {
    /// At least one.
    pub(super) fn new(prefix: &str, count: u16) -> Self {
        Self { prefixes: (0..count.max(1)).map(|shard| shard_prefix(prefix, shard)).collect() }
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.prefixes.len()).expect("they were counted with a u16")
    }

    pub(super) fn all(&self) -> std::ops::Range<u16> {
        0..self.count()
    }

    /// The shard that has everything of `tenant`.
    pub(super) fn home(&self, tenant: &str) -> u16 {
        home(tenant, self.count())
    }

    /// What the keys of a shard begin with.
    pub(super) fn prefix(&self, shard: u16) -> &str {
        &self.prefixes[usize::from(shard)]
    }
}

/// Everything of one shard lives in one slot of a cluster, hence the hash tag.
pub(super) fn shard_prefix(prefix: &str, shard: u16) -> String {
    format!("{prefix}:{{q.{shard}}}")
}

/// Rendezvous hashing: the shard with the highest score has the tenant. When the number of shards grows, tenants
/// move only to the new ones; when it shrinks, only those of the shards that go away move.
///
/// The score of shard `i` is `mix(fnv1a64(tenant) + (i + 1) * 0x9e3779b97f4a7c15)` modulo 2^64, with the finalizer
/// of `SplitMix64` as `mix`. Of equal scores the first wins. It must never change: the keys are where it says.
pub(super) fn home(tenant: &str, count: u16) -> u16 {
    if count == 1 {
        return 0;
    }
    let name = fnv1a64(tenant.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down once. A change would leave every tenant's jobs where nobody looks for them.
    #[test]
    fn a_tenant_is_in_the_same_shard_for_ever() {
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
        let homes = |tenant| [1, 2, 3, 4, 16, 64].map(|count| home(tenant, count));
        assert_eq!(homes("acme"), [0, 1, 1, 1, 1, 25]);
        assert_eq!(homes("globex"), [0, 1, 1, 1, 14, 54]);
        assert_eq!(homes("initech"), [0, 1, 2, 3, 7, 21]);
        assert_eq!(homes("tenant-000042"), [0, 0, 2, 3, 11, 11]);
    }

    #[test]
    fn tenants_are_spread_evenly_and_move_no_more_than_they_must() {
        let names: Vec<String> = (0..20_000).map(|n| format!("tenant-{n}")).collect();
        let mut counts = [0_u32; 16];
        for name in &names {
            counts[usize::from(home(name, 16))] += 1;
            let (before, after) = (home(name, 4), home(name, 5));
            assert!(after == before || after == 4, "{name} moved from {before} to {after}");
        }
        assert!(counts.iter().all(|count| (1_100..1_400).contains(count)), "{counts:?}");
    }
}
