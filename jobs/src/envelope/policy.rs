//! The Open Job Spec policies: durations and retries.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::as_text::serde_as_text;
use crate::tenant::InvalidId;

/// A duration written as ISO 8601 (`PT1H30M`, `PT0.5S`), whole milliseconds, up to days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsoDuration(pub Duration);

impl fmt::Display for IsoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0.as_secs(), self.0.subsec_millis());
        if ms == 0 {
            write!(f, "PT{seconds}S")
        } else {
            let fraction = format!("{ms:03}");
            write!(f, "PT{seconds}.{}S", fraction.trim_end_matches('0'))
        }
    }
}

impl FromStr for IsoDuration {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId::new("duration", "ISO 8601 such as PT30S, PT5M or P1DT2H");
        parse_ms(text).map(|ms| Self(Duration::from_millis(ms))).ok_or(invalid)
    }
}

fn parse_ms(text: &str) -> Option<u64> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let day_ms = sum_units(days, &[('D', 86_400_000)])?;
    let time_ms = sum_units(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
    day_ms.checked_add(time_ms)
}

/// Adds up `12H30M`-like text whose units appear in the given order, each at most once.
fn sum_units(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut total: u64 = 0;
    for &(unit, unit_ms) in units {
        if let Some((number, rest)) = text.split_once(unit) {
            total = total.checked_add(scaled(number, unit_ms)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

/// `number` units in milliseconds. Only seconds may have a fraction, as in ISO 8601's last unit.
fn scaled(number: &str, unit_ms: u64) -> Option<u64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) || (number.contains('.') && unit_ms != 1_000) {
        return None;
    }
    let fraction_ms: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(unit_ms)?.checked_add(fraction_ms)
}

impl TryFrom<String> for IsoDuration {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<IsoDuration> for String {
    fn from(duration: IsoDuration) -> Self {
        duration.to_string()
    }
}

serde_as_text!(IsoDuration);

/// When a failed job is tried again: exponential backoff with full jitter between half and the whole of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// How often the handler may fail before the job is discarded.
    pub max_attempts: u32,
    /// The wait after the first failure.
    pub initial_interval: IsoDuration,
    /// By how much each wait exceeds the one before.
    pub backoff_coefficient: f64,
    /// The longest wait.
    pub max_interval: IsoDuration,
    /// Whether to spread the waits of jobs that failed together.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::attempts(8)
    }
}

impl RetryPolicy {
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The usual backoff (1 s, doubling, at most 5 min) with the given number of attempts.
    #[must_use]
    pub fn attempts(max_attempts: u32) -> Self {
        Self {
            max_attempts,
            initial_interval: IsoDuration(Duration::from_secs(1)),
            backoff_coefficient: 2.0,
            max_interval: IsoDuration(Duration::from_secs(300)),
            jitter: true,
        }
    }

    /// The wait after failure number `failures` (1 for the first). `random` is uniform in 0..1.
    #[must_use]
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        fair_queue::RetryPolicy::from(self).wait(failures, random)
    }
}

impl From<&RetryPolicy> for fair_queue::RetryPolicy {
    fn from(policy: &RetryPolicy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            initial_interval: policy.initial_interval.0,
            backoff_coefficient: policy.backoff_coefficient,
            max_interval: policy.max_interval.0,
            jitter: policy.jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        for (text, ms) in [
            ("PT0S", 0),
            ("PT1S", 1_000),
            ("PT42M30S", 2_550_000),
            ("P1DT2H", 93_600_000),
            ("PT0.25S", 250),
            ("P2D", 172_800_000),
        ] {
            let duration: IsoDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_millis(ms), "{text}");
            assert_eq!(duration.to_string().parse::<IsoDuration>().unwrap(), duration);
        }
        for bad in [
            "",
            "P",
            "PT",
            "1S",
            "PT1",
            "PT1S1M",
            "PT-1S",
            "PT1.5M",
            "PTS",
            "PT1.S",
            "PT99999999999999999999S",
        ] {
            assert!(bad.parse::<IsoDuration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let policy = RetryPolicy::attempts(8);
        assert_eq!(policy.wait(1, 1.0), Duration::from_secs(1));
        assert_eq!(policy.wait(1, 0.0), Duration::from_millis(500));
        assert_eq!(policy.wait(4, 1.0), Duration::from_secs(8));
        assert_eq!(policy.wait(u32::MAX, 1.0), Duration::from_secs(300));
    }
}
