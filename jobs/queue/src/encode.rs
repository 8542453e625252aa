//! Jobs as the queue's functions take them, and as Redis keeps them.
//!
//! A record is a header that the scripts rewrite, then the payload, which nothing touches:
//! `2`, or `3` once it was redriven · level (1 digit) · attempts (3) · deaths (2) · interruptions (3) · parks (2) ·
//! epoch (4) · skill, and behind a tab the branch, if there is one `\n` partition `\n` note `\n` payload. The level is
//! the priority, and 4 more in the bulk lane. `lua/01_jobs.lua` reads and writes the same, and fills in the epoch.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::finish::{OnFailure, OpenGroup};
use crate::job::{Lane, NewJob, OnConflict, Priority, Unique, UniqueScope};
use crate::shards::Shards;

/// Most jobs in one call, because a script has to end soon.
const CALL_JOBS: usize = 200;
/// Most bytes of payloads in one call.
const CALL_BYTES: usize = 1 << 20;

/// Arguments of a function: texts and records.
pub(crate) type Arguments = Vec<Vec<u8>>;

/// Adds texts to arguments.
pub(crate) fn add_texts<const N: usize>(arguments: &mut Arguments, texts: [String; N]) {
    arguments.extend(texts.map(String::into_bytes));
}

type Route<'a> = (&'a str, &'a str, u8, i64, String, &'a str);

/// `jobs` apart by shard, each part in order.
pub(crate) fn by_shard<'a, J: Borrow<NewJob>>(
    jobs: &'a [J],
    shards: &Shards,
) -> BTreeMap<u16, Vec<&'a NewJob>> {
    let mut parts: BTreeMap<u16, Vec<&NewJob>> = BTreeMap::new();
    for job in jobs.iter().map(Borrow::<NewJob>::borrow) {
        parts.entry(shards.home(job.partition.as_str())).or_default().push(job);
    }
    parts
}

/// The blocks of the calls that push `jobs`, in order, and how many jobs are in each.
pub(crate) fn calls<J: Borrow<NewJob>>(jobs: &[J]) -> impl Iterator<Item = (Arguments, usize)> + '_ {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let (now, later) = rest.split_at(call_len(rest));
        rest = later;
        (!now.is_empty()).then(|| (blocks_of(now), now.len()))
    })
}

/// Counts what one call has taken, up to its limits in jobs and bytes.
#[derive(Debug, Default)]
pub(crate) struct Room {
    jobs: usize,
    size_bytes: usize,
}

impl Room {
    /// Whether the call takes `job` as well. It takes a first one of any size.
    pub(crate) fn take(&mut self, job: &NewJob) -> bool {
        self.size_bytes += job.payload.len();
        self.jobs += 1;
        self.jobs == 1 || (self.jobs <= CALL_JOBS && self.size_bytes <= CALL_BYTES)
    }
}

fn call_len<J: Borrow<NewJob>>(jobs: &[J]) -> usize {
    let mut room = Room::default();
    jobs.iter().take_while(|job| room.take((*job).borrow())).count()
}

/// Groups jobs into blocks for the push script: jobs with the same partition, skill, lane, priority, due time, group
/// and branch share a block, each job with a unique key has its own.
pub(crate) fn blocks_of<J: Borrow<NewJob>>(jobs: &[J]) -> Arguments {
    let mut arguments = Vec::with_capacity(8 + 2 * jobs.len());
    let mut routes: BTreeMap<Route<'_>, Vec<&NewJob>> = BTreeMap::new();
    for job in jobs.iter().map(Borrow::<NewJob>::borrow) {
        match &job.unique {
            None => routes.entry(route(job)).or_default().push(job),
            Some(unique) => push_unique(job, unique, &mut arguments),
        }
    }
    for (route, members) in routes {
        push_block(route, &members, &mut arguments);
    }
    arguments
}

/// `'e' partition skill queue level due group count (id record)*count`
fn push_block(
    (partition, skill, level, due_ms, group, _): Route<'_>,
    members: &[&NewJob],
    arguments: &mut Arguments,
) {
    let queue = members[0].skill.queue().to_owned();
    add_texts(arguments, ["e".to_owned(), partition.to_owned(), skill.to_owned(), queue]);
    add_texts(arguments, [level.to_string(), due_ms.to_string(), group, members.len().to_string()]);
    for job in members {
        arguments.extend([job.id.to_string().into_bytes(), fresh(job)]);
    }
}

/// `'n' partition skill queue level due group scope key period_ms on_conflict id record`
fn push_unique(job: &NewJob, unique: &Unique, arguments: &mut Arguments) {
    let (partition, skill, level, due_ms, group, _) = route(job);
    let (scope, period_ms) = match unique.scope {
        UniqueScope::UntilStarted => ("s", 0),
        UniqueScope::UntilFinished => ("f", 0),
        UniqueScope::Period(period) => ("p", period.as_millis()),
    };
    let on_conflict = match unique.on_conflict {
        OnConflict::Keep => "k",
        OnConflict::Replace => "r",
        OnConflict::Reschedule => "t",
    };
    let queue = job.skill.queue().to_owned();
    add_texts(arguments, ["n".to_owned(), partition.to_owned(), skill.to_owned(), queue]);
    add_texts(arguments, [level.to_string(), due_ms.to_string(), group, scope.to_owned()]);
    add_texts(arguments, [unique.key.clone(), period_ms.to_string(), on_conflict.to_owned()]);
    arguments.extend([job.id.to_string().into_bytes(), fresh(job)]);
}

/// `'g' partition group policy id due group-of-id queue record`
pub(crate) fn push_group(group: &OpenGroup, arguments: &mut Arguments) {
    let job = &group.continuation;
    let policy = match group.on_failure {
        OnFailure::Continue => "a",
        OnFailure::Cancel => "c",
    };
    let outer = job.group.map_or_else(String::new, |group| group.to_string());
    let queue = job.skill.queue().to_owned();
    add_texts(
        arguments,
        ["g".to_owned(), job.partition.to_string(), group.id.to_string(), policy.to_owned()],
    );
    add_texts(arguments, [job.id.to_string(), due_ms(job).to_string(), outer, queue]);
    arguments.push(fresh(job));
}

fn route(job: &NewJob) -> Route<'_> {
    let group = job.group.map_or_else(String::new, |group| group.to_string());
    let level = job.lane.level(job.priority);
    (job.partition.as_str(), job.skill.as_str(), level, due_ms(job), group, job.branch.as_str())
}

/// 0 for a job that is due at once.
pub(crate) fn due_ms(job: &NewJob) -> i64 {
    job.due.map_or(0, |due| due.timestamp_millis().max(0))
}

/// The longest reason that is kept, in bytes.
pub(crate) const REASON_BYTES: usize = 300;

/// The record of a job that was never tried.
pub(crate) fn fresh(job: &NewJob) -> Vec<u8> {
    let NewJob { lane, priority, skill, partition, branch, payload, .. } = job;
    let tab = if branch.as_str().is_empty() { "" } else { "\t" };
    let (level, branch) = (lane.level(*priority), branch.as_str());
    let mut record = format!("2{level}00000000000000{skill}{tab}{branch}\n{partition}\n\n").into_bytes();
    record.extend_from_slice(payload);
    record
}

/// A record, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) lane: Lane,
    pub(crate) priority: Priority,
    pub(crate) attempts: u32,
    pub(crate) deaths: u32,
    pub(crate) interruptions: u32,
    pub(crate) parks: u32,
    /// Whether it was a dead letter or in quarantine before.
    pub(crate) redriven: bool,
    pub(crate) skill: &'a str,
    pub(crate) partition: &'a str,
    pub(crate) payload: &'a [u8],
}

/// Reads a record; `None` when it is damaged.
pub(crate) fn parse(record: &[u8]) -> Option<Record<'_>> {
    let (fixed, rest) = record.split_at_checked(16)?;
    let fixed = std::str::from_utf8(fixed).ok()?;
    let digits = fixed.strip_prefix(['2', '3'])?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.as_bytes()[0] > b'7' {
        return None;
    }
    let mut lines = rest.splitn(4, |byte| *byte == b'\n');
    let (label, partition, _note, payload) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let skill = label.split(|byte| *byte == b'\t').next()?;
    let (lane, priority) = Lane::from_level(digits[..1].parse().ok()?);
    Some(Record {
        lane,
        priority,
        attempts: digits[1..4].parse().ok()?,
        deaths: digits[4..6].parse().ok()?,
        interruptions: digits[6..9].parse().ok()?,
        parks: digits[9..11].parse().ok()?,
        redriven: fixed.starts_with('3'),
        skill: std::str::from_utf8(skill).ok()?,
        partition: std::str::from_utf8(partition).ok()?,
        payload,
    })
}

/// `code` and `text` as one line of at most [`REASON_BYTES`], separated by `separator`.
pub(crate) fn reason_line(code: &str, separator: char, text: &str) -> String {
    let mut line = format!("{code}{separator}");
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if line.len() + character.len_utf8() > REASON_BYTES {
            break;
        }
        line.push(character);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_the_scripts_write_it() {
        let record = parse(b"2200301123040000test.ping@1\nacme\nretry a note\n{\"stamp\":\"\n\"}").unwrap();
        assert_eq!((record.attempts, record.deaths, record.interruptions, record.parks), (3, 1, 123, 4));
        assert!(!record.redriven && parse(b"3000000000000000l\nt\n\n{}").unwrap().redriven);
        assert_eq!((record.partition, record.payload), ("acme", b"{\"stamp\":\"\n\"}".as_slice()));
        let record = parse(b"2500000000000000test.ping@1\tnorth\nacme\n\n{}").unwrap();
        assert_eq!(
            (record.skill, record.lane, record.priority),
            ("test.ping@1", Lane::Bulk, Priority::Normal)
        );
    }

    #[test]
    fn a_damaged_record_is_none() {
        for damaged in [
            "",
            "2",
            "garbage",
            "1200301123040000l\nt\n\n{}",
            "2800301123040000l\nt\n\n{}",
            "2200301123é40000l\nt\n\n{}",
            "2200301123040000l\nt\n{}",
        ] {
            assert!(parse(damaged.as_bytes()).is_none(), "{damaged:?}");
        }
        assert!(parse(b"2200301123040000l\n\xff\n\n{}").is_none());
        assert_eq!(
            parse(b"2200301123040000l\nt\n\n\xff").unwrap().payload,
            b"\xff",
            "payloads are any bytes"
        );
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(reason_line("code", ' ', "two\nlines\0"), "code two lines ");
        let long = reason_line("code", ' ', &"é".repeat(400));
        assert!(long.len() <= REASON_BYTES && long.len() > REASON_BYTES - 2);
    }
}
