//! How often something may be tried.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// When a gate lets tries through. A try counts before its outcome is known, so that many at once are no way
/// around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateRule {
    /// Closes with the `free`th try in a row: at first for `first_wait`, and after each further try for twice
    /// as long, up to `longest_wait`. Forgets tries that are older than `forget`.
    Lock {
        /// How many tries are free.
        free: u32,
        /// How long it is closed at first.
        first_wait: Duration,
        /// The longest that it is closed.
        longest_wait: Duration,
        /// How long a try is remembered.
        forget: Duration,
    },
    /// Lets `tries` through at once, and one more each `window / tries`.
    Rate {
        /// How many tries.
        tries: u32,
        /// In how long.
        window: Duration,
    },
}

/// What is remembered of the tries at one gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateState {
    /// Tries in a row.
    pub(crate) tries: u32,
    /// When the last one was let through.
    pub(crate) last_at: DateTime<Utc>,
    /// [`GateRule::Lock`]: when it opens. [`GateRule::Rate`]: when it is as if nothing had been tried.
    pub(crate) open_at: DateTime<Utc>,
}

impl GateRule {
    /// What is remembered after one more try, or for how long the gate is closed.
    pub(crate) fn enter(self, before: Option<GateState>, now: DateTime<Utc>) -> Result<GateState, Duration> {
        let before = before.unwrap_or(GateState { tries: 0, last_at: now, open_at: now });
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
                Ok(GateState { tries, last_at: now, open_at: now + delta(wait) })
            }
            Self::Rate { tries, window } => {
                let spent = before.open_at.max(now) + delta(window / tries.max(1));
                if let Some(wait) = until(spent, now + delta(window)) {
                    return Err(wait);
                }
                Ok(GateState { tries: before.tries.saturating_add(1), last_at: now, open_at: spent })
            }
        }
    }
}

/// How long from `now` to `then`; `None` once it is over.
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
    const LOCK: GateRule =
        GateRule::Lock { free: 3, first_wait: SECOND, longest_wait: Duration::from_secs(3), forget: DAY };
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    /// Tries at these moments, in milliseconds: for each, how long the gate was closed.
    fn tried(rule: GateRule, moments: &[i64]) -> Vec<u128> {
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
        // Each try beyond doubles the wait, up to the longest.
        assert_eq!(tried(LOCK, &[0, 0, 0, 1_000, 1_000, 3_000, 3_000]), [0, 0, 0, 0, 2_000, 0, 3_000]);
        let day_ms = 86_400_000;
        assert_eq!(tried(LOCK, &[0, 0, 0, 5_000 + day_ms, 5_000 + day_ms]), [0; 5], "forgotten");
    }

    #[test]
    fn a_rate_lets_as_many_through_as_it_says() {
        let rate = GateRule::Rate { tries: 2, window: SECOND };
        assert_eq!(
            tried(rate, &[0, 0, 0, 499, 500, 500, 5_000, 5_000, 5_000]),
            [0, 0, 500, 1, 0, 500, 0, 0, 500]
        );
    }
}
