//! Jobs as the queue's functions take them, and as Redis keeps them.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::envelope::{OnConflict, StampedJob, UniquePolicy, Until};
use crate::queue::shards::Shards;
use crate::queue::verdict::{OnFailure, OpenGroup};

/// Most jobs in one call, because a script has to end soon.
const CALL_JOBS: usize = 200;
/// Most bytes of envelopes in one call.
const CALL_BYTES: usize = 1 << 20;

type Route<'a> = (&'a str, &'a str, u8, i64, String);

/// `jobs` apart by shard, each part in order.
pub(super) fn by_shard<'a>(jobs: &'a [StampedJob], shards: &Shards) -> BTreeMap<u16, Vec<&'a StampedJob>> {
    let mut parts: BTreeMap<u16, Vec<&StampedJob>> = BTreeMap::new();
    for job in jobs {
        parts.entry(shards.home(job.tenant.as_str())).or_default().push(job);
    }
    parts
}

/// The blocks of the calls that push `jobs`, in order, and how many jobs are in each.
pub(super) fn calls<J: Borrow<StampedJob>>(jobs: &[J]) -> impl Iterator<Item = (Vec<String>, usize)> + '_ {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let (now, later) = rest.split_at(call_len(rest));
        rest = later;
        (!now.is_empty()).then(|| (blocks_of(now), now.len()))
    })
}

/// What one call still takes.
#[derive(Debug, Default)]
pub(super) struct Room {
    jobs: usize,
    size_bytes: usize,
}

impl Room {
    /// Whether the call takes `job` as well. It takes a first one of any size.
    pub(super) fn take(&mut self, job: &StampedJob) -> bool {
        self.size_bytes += job.wire.len();
        self.jobs += 1;
        self.jobs == 1 || (self.jobs <= CALL_JOBS && self.size_bytes <= CALL_BYTES)
    }
}

fn call_len<J: Borrow<StampedJob>>(jobs: &[J]) -> usize {
    let mut room = Room::default();
    jobs.iter().take_while(|job| room.take((*job).borrow())).count()
}

/// The blocks of jobs: those that go to the same place share one, those with a unique key have one each.
pub(super) fn blocks_of<J: Borrow<StampedJob>>(jobs: &[J]) -> Vec<String> {
    let mut arguments = Vec::with_capacity(8 + 2 * jobs.len());
    let mut routes: BTreeMap<Route<'_>, Vec<&StampedJob>> = BTreeMap::new();
    for job in jobs.iter().map(Borrow::borrow) {
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

/// `'e' tenant lane queue level due group count (id record)*count`
fn push_block(
    (tenant, lane, level, due_ms, group): Route<'_>,
    members: &[&StampedJob],
    arguments: &mut Vec<String>,
) {
    arguments.extend(["e".to_owned(), tenant.to_owned(), lane.to_owned(), members[0].queue.clone()]);
    arguments.extend([level.to_string(), due_ms.to_string(), group, members.len().to_string()]);
    for job in members {
        arguments.extend([job.id.to_string(), fresh(job)]);
    }
}

/// `'n' tenant lane queue level due group scope key period_ms on_conflict id record`
fn push_unique(job: &StampedJob, unique: &UniquePolicy, arguments: &mut Vec<String>) {
    let (tenant, lane, level, due_ms, group) = route(job);
    let scope = match unique.until {
        Until::Started => "s",
        Until::Finished => "f",
        Until::Period => "p",
    };
    let on_conflict = match unique.on_conflict {
        OnConflict::Keep => "k",
        OnConflict::Replace => "r",
        OnConflict::Reschedule => "t",
    };
    let period_ms = unique.period.map_or(0, |period| period.0.as_millis());
    arguments.extend(["n".to_owned(), tenant.to_owned(), lane.to_owned(), job.queue.clone()]);
    arguments.extend([level.to_string(), due_ms.to_string(), group, scope.to_owned()]);
    arguments.extend([unique.digest.clone(), period_ms.to_string(), on_conflict.to_owned()]);
    arguments.extend([job.id.to_string(), fresh(job)]);
}

/// `'g' tenant group policy id due group-of-id queue record`
pub(super) fn push_group(group: &OpenGroup, arguments: &mut Vec<String>) {
    let job = &group.continuation;
    let policy = match group.on_failure {
        OnFailure::Continue => "a",
        OnFailure::Cancel => "c",
    };
    let outer = job.group.map_or_else(String::new, |group| group.to_string());
    arguments.extend(["g".to_owned(), job.tenant.to_string(), group.id.to_string(), policy.to_owned()]);
    arguments.extend([job.id.to_string(), due_ms(job).to_string(), outer, job.queue.clone()]);
    arguments.push(fresh(job));
}

fn route(job: &StampedJob) -> Route<'_> {
    let group = job.group.map_or_else(String::new, |group| group.to_string());
    (job.tenant.as_str(), &job.lane, job.priority.level(), due_ms(job), group)
}

/// 0 for a job that is due at once.
pub(super) fn due_ms(job: &StampedJob) -> i64 {
    job.due.map_or(0, |due| due.timestamp_millis().max(0))
}

/// The longest reason that is kept, in bytes.
pub(super) const REASON_BYTES: usize = 300;

/// The record of a job that was never tried.
pub(super) fn fresh(job: &StampedJob) -> String {
    format!("2{}00000000000000{}\n{}\n\n{}", job.priority.level(), job.lane, job.tenant, job.wire)
}

/// A record, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) level: u32,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) interruptions: u32,
    pub(super) parks: u32,
    /// Whether it was a dead letter or in quarantine before.
    pub(super) redriven: bool,
    pub(super) lane: &'a str,
    pub(super) tenant: &'a str,
    pub(super) wire: &'a str,
}

/// Reads a record; `None` when it is damaged.
pub(super) fn parse(record: &[u8]) -> Option<Record<'_>> {
    let text = std::str::from_utf8(record).ok()?;
    let (fixed, rest) = text.split_at_checked(16)?;
    let digits = fixed.strip_prefix(['2', '3'])?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.as_bytes()[0] > b'3' {
        return None;
    }
    let mut lines = rest.splitn(4, '\n');
    let (lane, tenant, _note, wire) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    Some(Record {
        level: digits[..1].parse().ok()?,
        attempts: digits[1..4].parse().ok()?,
        deaths: digits[4..6].parse().ok()?,
        interruptions: digits[6..9].parse().ok()?,
        parks: digits[9..11].parse().ok()?,
        redriven: fixed.starts_with('3'),
        lane,
        tenant,
        wire,
    })
}

/// `code` and `text` as one line of at most [`REASON_BYTES`], separated by `separator`.
pub(super) fn reason_line(code: &str, separator: char, text: &str) -> String {
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
        assert_eq!((record.tenant, record.wire), ("acme", "{\"stamp\":\"\n\"}"));
    }

    #[test]
    fn a_damaged_record_is_none() {
        for damaged in [
            "",
            "2",
            "garbage",
            "1200301123040000l\nt\n\n{}",
            "2400301123040000l\nt\n\n{}",
            "2200301123é40000l\nt\n\n{}",
            "2200301123040000l\nt\n{}",
        ] {
            assert!(parse(damaged.as_bytes()).is_none(), "{damaged:?}");
        }
        assert!(parse(b"2200301123040000l\nt\n\n\xff").is_none());
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(reason_line("code", ' ', "two\nlines\0"), "code two lines ");
        let long = reason_line("code", ' ', &"é".repeat(400));
        assert!(long.len() <= REASON_BYTES && long.len() > REASON_BYTES - 2);
    }
}
