//! Login throttles: how often an operation may be attempted under one key.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The rule of a throttle. An attempt counts before its outcome is known, so that concurrent attempts cannot get
/// around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleRule {
    /// Lockout: rejects attempts after the `free`th in a row, at first for `first_wait`, and after each further one
    /// for twice as long, up to `longest_wait`. Attempts older than `forget` do not count.
    Lock {
        /// Attempts in a row without a wait.
        free: u32,
        /// The first wait.
        first_wait: Duration,
        /// The longest wait.
        longest_wait: Duration,
        /// How long an attempt counts.
        forget: Duration,
    },
    /// Rate limit: `tries` attempts at once, and one more each `window / tries`.
    Rate {
        /// Attempts per window.
        tries: u32,
        /// Length of the window.
        window: Duration,
    },
}

/// The stored state of one throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThrottleState {
    /// Attempts in a row.
    pub(crate) tries: u32,
    /// When the last attempt was allowed.
    pub(crate) last_at: DateTime<Utc>,
    /// [`ThrottleRule::Lock`]: when attempts are allowed again. [`ThrottleRule::Rate`]: when the full rate is available
    /// again.
    pub(crate) open_at: DateTime<Utc>,
}

impl ThrottleRule {
    /// The state after one more attempt, or how long attempts are still rejected.
    pub(crate) fn enter(
        self,
        before: Option<ThrottleState>,
        now: DateTime<Utc>,
    ) -> Result<ThrottleState, Duration> {
        let before = before.unwrap_or(ThrottleState { tries: 0, last_at: now, open_at: now });
        match self {
            Self::Lock { free, first_wait, longest_wait, forget } => {
                if let Some(wait) = until(before.open_at, now) {
                    return Err(wait);
                }
                let forgotten = now - before.last_at >= delta(forget);
                let tries = if forgotten { 1 } else { before.tries.saturating_add(1) };
                let wait = match tries.checked_sub(free) {
                    None => Duration::ZERO,
                    Some(beyond) => first_wait.saturating_mul(1 << beyond.min(20)).min(longest_wait),
                };
                Ok(ThrottleState { tries, last_at: now, open_at: now + delta(wait) })
            }
            Self::Rate { tries, window } => {
                let spent = before.open_at.max(now) + delta(window / tries.max(1));
                if let Some(wait) = until(spent, now + delta(window)) {
                    return Err(wait);
                }
                Ok(ThrottleState { tries: before.tries.saturating_add(1), last_at: now, open_at: spent })
            }
        }
    }
}

/// Time from `now` to `then`; `None` if it has passed.
fn until(then: DateTime<Utc>, now: DateTime<Utc>) -> Option<Duration> {
    (then - now).to_std().ok().filter(|wait| !wait.is_zero())
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LOCK: ThrottleRule =
        ThrottleRule::Lock { free: 3, first_wait: SECOND, longest_wait: Duration::from_secs(3), forget: DAY };
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    /// Attempts at these moments, in milliseconds: for each, the remaining wait.
    fn tried(rule: ThrottleRule, moments: &[i64]) -> Vec<u128> {
        let mut state = None;
        let mut waits = Vec::new();
        for moment in moments {
            match rule.enter(state, at(*moment)) {
                Ok(after) => {
                    state = Some(after);
                    waits.push(0);
                }
                Err(wait) => waits.push(wait.as_millis()),
            }
        }
        waits
    }

    #[test]
    fn a_lock_closes_for_longer_and_longer() {
        assert_eq!(tried(LOCK, &[0, 0, 0, 0, 999]), [0, 0, 0, 1_000, 1]);
        // Each attempt beyond doubles the wait, up to the longest.
        assert_eq!(tried(LOCK, &[0, 0, 0, 1_000, 1_000, 3_000, 3_000]), [0, 0, 0, 0, 2_000, 0, 3_000]);
        let day_ms = 86_400_000;
        assert_eq!(tried(LOCK, &[0, 0, 0, 5_000 + day_ms, 5_000 + day_ms]), [0; 5], "forgotten");
    }

    #[test]
    fn a_rate_lets_as_many_through_as_it_says() {
        let rate = ThrottleRule::Rate { tries: 2, window: SECOND };
        assert_eq!(
            tried(rate, &[0, 0, 0, 499, 500, 500, 5_000, 5_000, 5_000]),
            [0, 0, 500, 1, 0, 500, 0, 0, 500]
        );
    }
}
