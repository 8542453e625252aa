//! Counts the keys, copies those whose shard changes, and removes what was copied. Each step is idempotent: the queue
//! is frozen, and a copy replaces the key at its target.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue};

use crate::encode;
use crate::error::QueueError;
use crate::queue::{LIVE_MS, Queue};
use crate::redis::Resend;
use crate::reshard::steps::{Plan, ReshardError};
use crate::script::Operation;

/// How the names of unfinished copies begin, below their partition's.
pub(super) const DRAFT: &str = "~copy.";

/// A skill where jobs come from: its name and its queue. Numbers differ between shards.
type Skills = BTreeMap<u64, (String, String)>;

/// Gives all shards the same shard-wide state: virtual time, fences and the paused queues.
pub(super) async fn copy_clocks(plan: &Plan) -> Result<(), QueueError> {
    for name in ["V", "F"] {
        let mut latest = 0;
        for shard in 0..plan.from {
            let value: Option<u64> =
                ask(&plan.queue, shard, &[b"GET", plan.key(shard, name).as_bytes()]).await?;
            latest = latest.max(value.unwrap_or(0));
        }
        for shard in (0..plan.to).filter(|_| latest > 0) {
            let (key, value) = (plan.key(shard, name), latest.to_string());
            ask::<()>(&plan.queue, shard, &[b"SET", key.as_bytes(), value.as_bytes()]).await?;
        }
    }
    let paused: BTreeMap<String, String> =
        ask(&plan.queue, 0, &[b"HGETALL", plan.key(0, "P").as_bytes()]).await?;
    for shard in plan.from..plan.to {
        for (queue, flow) in &paused {
            let key = plan.key(shard, "P");
            ask::<()>(&plan.queue, shard, &[b"HSET", key.as_bytes(), queue.as_bytes(), flow.as_bytes()])
                .await?;
        }
    }
    Ok(())
}

/// Copies from one shard the records, keys, timers and rows of the partitions that leave it. How many jobs and
/// partitions.
pub(super) async fn copy_shard(plan: &Plan, from: u16) -> Result<(u64, u64), ReshardError> {
    let skills = skills(plan, from).await?;
    let jobs = copy_fields(plan, from, "e", by_record).await?;
    for (name, whose) in REMEMBERED {
        copy_fields(plan, from, name, whose).await?;
    }
    let mut walk = Walk::over_keys(&plan.queue, from, "t:");
    while let Some(keys) = walk.next(&plan.queue, from).await? {
        for key in keys {
            let Some((partition, name)) = partition_of(&plan.queue, from, &key) else { continue };
            if let Some(to) = plan.leaves(from, partition) {
                let name = name_there(plan, to, name, &skills).await?;
                copy_key(plan, (from, &key), to, (partition, &name)).await?;
            }
        }
    }
    copy_timers(plan, from).await?;
    Ok((jobs, adopt_rows(plan, from, &skills).await?))
}

async fn skills(plan: &Plan, shard: u16) -> Result<Skills, QueueError> {
    let known: BTreeMap<String, String> =
        ask(&plan.queue, shard, &[b"HGETALL", plan.key(shard, "L").as_bytes()]).await?;
    let numbers = known.keys().filter_map(|field| field.strip_prefix('#')?.parse().ok());
    let skill = |number: u64| {
        let name = known.get(&format!("#{number}"))?.clone();
        Some((number, (name, known.get(&format!("@{number}")).cloned().unwrap_or_default())))
    };
    Ok(numbers.filter_map(skill).collect())
}

/// Hashes of ended work, and what of a field names its partition: ids have it as their value, behind a sign.
const REMEMBERED: [(&str, Whose); 4] = [("o", by_field), ("o-", by_field), ("f", by_value), ("f-", by_value)];

/// The partition of a field of a hash.
type Whose = for<'a> fn(&'a [u8], &'a [u8]) -> Option<&'a str>;

fn by_field<'a>(field: &'a [u8], _: &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(field).ok()
}

fn by_value<'a>(_: &'a [u8], value: &'a [u8]) -> Option<&'a str> {
    behind_first(value)
}

fn by_record<'a>(_: &'a [u8], record: &'a [u8]) -> Option<&'a str> {
    encode::parse(record).map(|record| record.partition)
}

/// Copies the fields of a hash whose partitions leave the shard. How many.
async fn copy_fields(plan: &Plan, from: u16, name: &str, whose: Whose) -> Result<u64, QueueError> {
    let (mut walk, mut copied) = (Walk::over("HSCAN", plan.key(from, name)), 0);
    while let Some(entries) = walk.next(&plan.queue, from).await? {
        let mut parts: BTreeMap<u16, Cmd> = BTreeMap::new();
        for entry in entries.chunks_exact(2) {
            let partition = whose(&entry[0], &entry[1]);
            let Some(to) = partition.and_then(|partition| plan.leaves(from, partition)) else { continue };
            let start = || {
                let mut put = redis::cmd("HSET");
                put.arg(plan.key(to, name));
                put
            };
            parts.entry(to).or_insert_with(start).arg(&entry[0]).arg(&entry[1]);
            copied += 1;
        }
        for (to, put) in parts {
            plan.queue.servers().query::<()>(to, &put, Resend::Safe).await?;
        }
    }
    Ok(copied)
}

/// The name of a partition's key in another shard: lists have the number of their skill in it.
async fn name_there(plan: &Plan, to: u16, name: &str, skills: &Skills) -> Result<String, QueueError> {
    let Some((skill, level)) = name.split_once('.') else { return Ok(name.to_owned()) };
    let Some((skill, queue)) = skill.parse().ok().and_then(|number| skills.get(&number)) else {
        return Ok(name.to_owned());
    };
    let arguments = vec![skill.clone(), queue.clone()];
    let number: u64 = plan.queue.call(to, Operation::Skill, Resend::Safe, arguments).await?;
    Ok(format!("{number}.{level}"))
}

/// Builds the copy under a temporary name of this run and renames it into place, so that a delayed write of an earlier
/// run cannot add to it.
async fn copy_key(
    plan: &Plan,
    (from, key): (u16, &[u8]),
    to: u16,
    (partition, name): (&str, &str),
) -> Result<(), ReshardError> {
    let queue = &plan.queue;
    let draft = plan.key(to, &format!("t:{partition}:{DRAFT}{}", plan.run));
    let draft = draft.as_bytes();
    let kind: String = ask(queue, from, &[b"TYPE", key]).await?;
    ask::<()>(queue, to, &[b"UNLINK", draft]).await?;
    match kind.as_str() {
        "list" => copy_list(plan, from, key, to, draft).await?,
        "hash" => copy_entries(plan, from, key, to, draft, ("HSCAN", "HSET")).await?,
        "set" => copy_entries(plan, from, key, to, draft, ("SSCAN", "SADD")).await?,
        "zset" => copy_entries(plan, from, key, to, draft, ("ZSCAN", "ZADD")).await?,
        "string" => {
            let value: Vec<u8> = ask(queue, from, &[b"GET", key]).await?;
            ask::<()>(queue, to, &[b"SET", draft, &value]).await?;
        }
        "none" => return Ok(()),
        _ => return Err(ReshardError::UnknownKey(String::from_utf8_lossy(key).into_owned())),
    }
    let life_ms: i64 = ask(queue, from, &[b"PTTL", key]).await?;
    if life_ms > 0 {
        ask::<()>(queue, to, &[b"PEXPIRE", draft, life_ms.to_string().as_bytes()]).await?;
    }
    let mut put = redis::cmd("RENAME");
    put.arg(draft).arg(plan.key(to, &format!("t:{partition}:{name}")));
    Ok(queue.servers().query(to, &put, Resend::Never).await?)
}

async fn copy_list(plan: &Plan, from: u16, key: &[u8], to: u16, draft: &[u8]) -> Result<(), QueueError> {
    let mut start = 0;
    loop {
        let range = [start.to_string(), (start + PAGE - 1).to_string()];
        let range = [range[0].as_bytes(), range[1].as_bytes()];
        let part: Vec<Vec<u8>> = ask(&plan.queue, from, &[b"LRANGE", key, range[0], range[1]]).await?;
        if part.is_empty() {
            return Ok(());
        }
        append(plan, to, "RPUSH", draft, &part).await?;
        start += PAGE;
    }
}

async fn copy_entries(
    plan: &Plan,
    from: u16,
    key: &[u8],
    to: u16,
    target: &[u8],
    (scan, put): (&'static str, &str),
) -> Result<(), QueueError> {
    let mut walk = Walk::over(scan, key);
    while let Some(mut entries) = walk.next(&plan.queue, from).await? {
        if put == "ZADD" {
            entries.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        append(plan, to, put, target, &entries).await?;
    }
    Ok(())
}

async fn append(
    plan: &Plan,
    to: u16,
    put: &str,
    target: &[u8],
    entries: &[Vec<u8>],
) -> Result<(), QueueError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut call = redis::cmd(put);
    call.arg(target).arg(entries);
    // Appending to a list twice would be twice: the copy fails instead, and is made again from the start.
    let resend = if put == "RPUSH" { Resend::Never } else { Resend::Safe };
    plan.queue.servers().query(to, &call, resend).await
}

async fn copy_timers(plan: &Plan, from: u16) -> Result<(), QueueError> {
    let mut walk = Walk::over("ZSCAN", plan.key(from, "w"));
    while let Some(entries) = walk.next(&plan.queue, from).await? {
        for entry in entries.chunks_exact(2) {
            let to = behind_first(&entry[0]).and_then(|partition| plan.leaves(from, partition));
            if let Some(to) = to {
                ask::<()>(&plan.queue, to, &[b"ZADD", plan.key(to, "w").as_bytes(), &entry[1], &entry[0]])
                    .await?;
            }
        }
    }
    Ok(())
}

/// The partition of a timer, behind the letter of its kind, or of an ended job, behind a sign.
pub(super) fn behind_first(member: &[u8]) -> Option<&str> {
    std::str::from_utf8(member).ok()?.get(1..)
}

async fn adopt_rows(plan: &Plan, from: u16, skills: &Skills) -> Result<u64, QueueError> {
    let (mut walk, mut partitions) = (Walk::over("HSCAN", plan.key(from, "T")), 0);
    while let Some(rows) = walk.next(&plan.queue, from).await? {
        for row in rows.chunks_exact(2) {
            let Ok(partition) = std::str::from_utf8(&row[0]) else { continue };
            let Some(to) = plan.leaves(from, partition) else { continue };
            plan.adopt(to, &row[0], &row[1], skills).await?;
            partitions += 1;
        }
    }
    Ok(partitions)
}

/// Names of keys that belong to a shard as a whole.
const KNOWN: [&str; 19] =
    ["V", "F", "L", "P", "T", "e", "w", "l", "n", "s", "G", "gc", "gn", "D", "f", "f-", "o", "o-", "shards"];
/// And beginnings of such names.
const KNOWN_KINDS: [&str; 7] = ["r:", "mk:", "c:", "W:", "u:", "t:", "turn:"];
/// How long leases of vanished workers are waited for.
const PATIENCE: Duration = Duration::from_secs(3_900);

/// Number of workers with a recent heartbeat.
pub(super) async fn live_workers(queue: &Queue, shards: u16) -> Result<u64, QueueError> {
    let mut most = 0;
    for shard in 0..shards {
        let arguments = vec![LIVE_MS.to_string()];
        let skills: Vec<(String, String, u64, u64)> =
            queue.call(shard, Operation::Skills, Resend::Safe, arguments).await?;
        most = skills.into_iter().map(|(_, _, _, workers)| workers).fold(most, u64::max);
    }
    Ok(most)
}

/// Finds keys that this version cannot move.
pub(super) async fn check_keys(queue: &Queue, shards: u16) -> Result<(), ReshardError> {
    for shard in 0..shards {
        let prefix = queue.key(shard, "");
        let mut walk = Walk::over_keys(queue, shard, "");
        while let Some(keys) = walk.next(queue, shard).await? {
            for key in keys {
                let name = String::from_utf8_lossy(&key).into_owned();
                let name = name.strip_prefix(&prefix).unwrap_or(&name);
                if !KNOWN.contains(&name) && !KNOWN_KINDS.iter().any(|kind| name.starts_with(kind)) {
                    return Err(ReshardError::UnknownKey(name.to_owned()));
                }
            }
        }
    }
    Ok(())
}

/// Returns the jobs of vanished workers to their queues and sweeps cancelled batches. Afterwards only this program
/// changes the frozen queue.
pub(super) async fn settle(queue: &Queue, shards: u16) -> Result<(), ReshardError> {
    let patience = Instant::now() + PATIENCE;
    for shard in 0..shards {
        while queue.sweep(shard, 200).await? > 0 {}
        heal(queue, shard).await?;
        while leases(queue, shard).await? > 0 {
            queue.reap(shard, 2).await?;
            let left = leases(queue, shard).await?;
            if left == 0 {
                break;
            }
            if Instant::now() > patience {
                return Err(ReshardError::JobsRunning { claims: left });
            }
            tracing::info!(
                queue.shard = shard,
                claims = left,
                "waiting for leases of vanished workers to end"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

async fn heal(queue: &Queue, shard: u16) -> Result<(), QueueError> {
    let mut cursor = "0".to_owned();
    loop {
        cursor = queue.heal(shard, &cursor, 50).await?.cursor;
        if cursor == "0" {
            return Ok(());
        }
    }
}

async fn leases(queue: &Queue, shard: u16) -> Result<u64, QueueError> {
    ask(queue, shard, &[b"ZCARD", queue.key(shard, "l").as_bytes()]).await
}

/// Deletes from one shard the keys that were copied elsewhere; all keys when the shard is removed.
pub(super) async fn remove_copied(plan: &Plan, shard: u16) -> Result<(), QueueError> {
    let gone = shard >= plan.to;
    let mut walk = Walk::over_keys(&plan.queue, shard, if gone { "" } else { "t:" });
    let keep = plan.key(shard, "shards");
    while let Some(keys) = walk.next(&plan.queue, shard).await? {
        for key in keys {
            let left = || {
                partition_of(&plan.queue, shard, &key).is_some_and(|(partition, name)| {
                    plan.leaves(shard, partition).is_some() || name.starts_with(DRAFT)
                })
            };
            if key != keep.as_bytes() && (gone || left()) {
                ask::<()>(&plan.queue, shard, &[b"UNLINK", &key]).await?;
            }
        }
    }
    if gone {
        return Ok(());
    }
    let left =
        |partition: Option<&str>| partition.is_some_and(|partition| plan.leaves(shard, partition).is_some());
    let name = |member: &[u8]| left(std::str::from_utf8(member).ok());
    let hashes: [(&str, Whose); 2] = [("e", by_record), ("T", by_field)];
    for (hash, whose) in hashes.into_iter().chain(REMEMBERED) {
        let gone = |field: &[u8], value: &[u8]| left(whose(field, value));
        remove(plan, shard, hash, ("HSCAN", "HDEL"), gone).await?;
    }
    remove(plan, shard, "w", ("ZSCAN", "ZREM"), |timer, _| left(behind_first(timer))).await?;
    let mut indexes = Walk::over_keys(&plan.queue, shard, "r:");
    let prefix = plan.key(shard, "");
    while let Some(keys) = indexes.next(&plan.queue, shard).await? {
        for key in keys {
            let index = String::from_utf8_lossy(&key).replacen(&prefix, "", 1);
            remove(plan, shard, &index, ("ZSCAN", "ZREM"), |partition, _| name(partition)).await?;
        }
    }
    Ok(())
}

async fn remove(
    plan: &Plan,
    shard: u16,
    name: &str,
    (scan, take): (&'static str, &str),
    is_gone: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(), QueueError> {
    let key = plan.key(shard, name);
    let mut walk = Walk::over(scan, key.as_bytes());
    while let Some(entries) = walk.next(&plan.queue, shard).await? {
        let gone = entries.chunks_exact(2).filter(|entry| is_gone(&entry[0], &entry[1]));
        let mut call: Vec<&[u8]> = vec![take.as_bytes(), key.as_bytes()];
        call.extend(gone.map(|entry| entry[0].as_slice()));
        if call.len() > 2 {
            ask::<()>(&plan.queue, shard, &call).await?;
        }
    }
    Ok(())
}

/// Page size of a scan.
pub(super) const PAGE: usize = 500;

/// Sends a command about one shard.
pub(super) async fn ask<T: FromRedisValue>(
    queue: &Queue,
    shard: u16,
    command: &[&[u8]],
) -> Result<T, QueueError> {
    let mut call = Cmd::new();
    for part in command {
        call.arg(*part);
    }
    queue.servers().query(shard, &call, Resend::Safe).await
}

/// One step of `SCAN` or one of its kin; `None` as the cursor means that there is no more.
#[derive(Debug)]
pub(super) struct Walk {
    command: &'static str,
    key: Vec<u8>,
    cursor: Option<String>,
}

impl Walk {
    /// Over the keys that match a pattern (`SCAN`), or the entries of a key (`HSCAN`, `SSCAN`, `ZSCAN`).
    pub(super) fn over(command: &'static str, key: impl Into<Vec<u8>>) -> Self {
        Self { command, key: key.into(), cursor: Some("0".to_owned()) }
    }

    /// Iterates over all keys of a shard whose names begin with `name`.
    pub(super) fn over_keys(queue: &Queue, shard: u16, name: &str) -> Self {
        let escaped: String = queue.key(shard, name).chars().flat_map(escape).collect();
        Self::over("SCAN", format!("{escaped}*"))
    }

    pub(super) async fn next(
        &mut self,
        queue: &Queue,
        shard: u16,
    ) -> Result<Option<Vec<Vec<u8>>>, QueueError> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let mut call = redis::cmd(self.command);
        if self.command == "SCAN" {
            call.arg(&cursor).arg("MATCH").arg(&self.key);
        } else {
            call.arg(&self.key).arg(&cursor);
        }
        call.arg("COUNT").arg(PAGE);
        let (cursor, found): (String, Vec<Vec<u8>>) =
            queue.servers().query(shard, &call, Resend::Safe).await?;
        self.cursor = (cursor != "0").then_some(cursor);
        Ok(Some(found))
    }
}

/// For a pattern that means itself.
fn escape(character: char) -> impl Iterator<Item = char> {
    let special = matches!(character, '*' | '?' | '[' | ']' | '\\' | '^');
    special.then_some('\\').into_iter().chain([character])
}

/// Splits a key under `p:t:` into the partition and the rest of the name.
pub(super) fn partition_of<'a>(queue: &Queue, shard: u16, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
    let key = std::str::from_utf8(key).ok()?;
    key.strip_prefix(queue.key(shard, "t:").as_str())?.split_once(':')
}
