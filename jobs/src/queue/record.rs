//! What Redis keeps of a job: a header that the queue's scripts rewrite, then the signed bytes, which nobody
//! touches.
//!
//! `2`, or `3` once it was redriven · level (1 digit) · attempts (3) · deaths (2) · interruptions (3) · parks (2) ·
//! epoch (4) · lane
//! `\n` tenant `\n` note `\n` wire. `lua/01_jobs.lua` reads and writes the same, and fills in the epoch.

use crate::envelope::StampedJob;

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
pub(super) fn reason(code: &str, separator: char, text: &str) -> String {
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
        assert_eq!(reason("code", ' ', "two\nlines\0"), "code two lines ");
        let long = reason("code", ' ', &"é".repeat(400));
        assert!(long.len() <= REASON_BYTES && long.len() > REASON_BYTES - 2);
    }
}
