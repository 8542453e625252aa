//! How numbers, times and states are said.

use std::borrow::Borrow;
use std::fmt::Display;

use chrono::{DateTime, TimeDelta, Utc};

/// A whole number with its thousands apart.
pub(crate) fn number(of: impl Display) -> String {
    let digits = of.to_string();
    let first = digits.len() % 3;
    let mut said = digits[..first].to_owned();
    for at in (first..digits.len()).step_by(3) {
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(&digits[at..at + 3]);
    }
    said
}

/// A part of a whole: 0 to 1.
pub(crate) fn percent(of: f64) -> String {
    let percent = of * 100.0;
    if percent > 0.0 && percent < 1.0 { "< 1 %".to_owned() } else { format!("{percent:.0} %") }
}

/// A size in the unit that needs few digits.
pub(crate) fn bytes(of: impl Borrow<u64>) -> String {
    let (mut size, mut unit) = (*of.borrow(), "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 10_240 {
            break;
        }
        (size, unit) = (size / 1024, larger);
    }
    format!("{} {unit}", number(size))
}

/// A length of time in its largest unit.
pub(crate) fn duration(of: TimeDelta) -> String {
    let seconds = of.num_seconds().abs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A length of time in milliseconds, in a unit that needs few digits.
pub(crate) fn milliseconds(of: impl Borrow<u64>) -> String {
    match *of.borrow() {
        ms @ 0..=9_999 => format!("{} ms", number(ms)),
        ms => duration(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))),
    }
}

/// A moment, from now: `5 min ago`, `in 2 h`.
pub(crate) fn moment(of: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = now - of;
    if ago.num_seconds().abs() < 1 {
        "now".to_owned()
    } else if ago > TimeDelta::zero() {
        format!("{} ago", duration(ago))
    } else {
        format!("in {}", duration(ago))
    }
}

/// A moment, exactly.
pub(crate) fn exact(of: DateTime<Utc>) -> String {
    of.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What a state of a job means to a person.
pub(crate) fn state_meaning(state: &str) -> &'static str {
    match state {
        "scheduled" => "waits for its time",
        "available" => "waits for a worker",
        "active" => "is running",
        "retryable" => "will be tried again",
        "parked" => "waits for its tenant or for a store",
        "completed" => "is done",
        "cancelled" => "was cancelled",
        "discarded" => "failed for good",
        "quarantined" => "may not run: its stamp is wrong, or its workers died",
        "pending" => "waits for its turn",
        "processing" => "is being read",
        "processed" => "is in the graph",
        "partial" => "is in the graph, without some of its chunks",
        "failed" => "could not be read",
        _ => "",
    }
}

/// How a tenant's status is coloured.
pub(crate) fn status_tone(status: &str) -> &'static str {
    match status {
        "active" => "good",
        "provisioning" => "busy",
        _ => "warn",
    }
}

/// How a state of a job or document is coloured; the word is always beside it.
pub(crate) fn tone(state: &str) -> &'static str {
    match state {
        "active" | "processing" => "busy",
        "completed" | "processed" => "good",
        "retryable" | "parked" | "partial" => "warn",
        "discarded" | "quarantined" | "failed" => "bad",
        _ => "calm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (of, said) in [(0_u64, "0"), (999, "999"), (1000, "1 000"), (12_345_678, "12 345 678")] {
            assert_eq!(number(of), said, "{of}");
        }
        for (of, said) in
            [(0, "0 B"), (10_239, "10 239 B"), (10_240, "10 KiB"), (50 << 20, "50 MiB"), (20 << 40, "20 TiB")]
        {
            assert_eq!(bytes(of), said, "{of}");
        }
    }

    #[test]
    fn moments_are_said_from_now() {
        let now: DateTime<Utc> = "2027-01-15T12:00:00Z".parse().unwrap();
        let at = |seconds| moment(now + TimeDelta::seconds(seconds), now);
        for (seconds, said) in [
            (0, "now"),
            (-1, "1 s ago"),
            (-119, "119 s ago"),
            (-120, "2 min ago"),
            (7200, "in 2 h"),
            (-400_000, "4 days ago"),
        ] {
            assert_eq!(at(seconds), said, "{seconds}");
        }
    }
}
