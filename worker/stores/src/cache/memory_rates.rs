//! Sliding windows without Redis, for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jobs::tenant::TenantId;

use crate::model::{RateTaken, RateWindow};

/// What was taken in each second, by tenant and key.
#[derive(Default)]
pub(super) struct MemoryRates(Mutex<HashMap<(TenantId, String), BTreeMap<i64, u64>>>);

impl MemoryRates {
    /// As `rate.lua`.
    pub(super) fn take(&self, key: (TenantId, String), window: RateWindow, more: u64) -> RateTaken {
        let RateWindow { limit, window_s, now_s } = window;
        // Every change is one call, so the counts are whole whoever panicked.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = all.entry(key).or_default();
        seconds.retain(|second, _| *second > now_s - i64::from(window_s));
        let used: u64 = seconds.values().sum();
        let oldest = seconds.keys().next().copied().unwrap_or(now_s).min(now_s);
        let frees_in_s = u32::try_from(oldest + i64::from(window_s) - now_s).unwrap_or(window_s);
        if used + more > limit {
            return RateTaken { taken: false, used, frees_in_s };
        }
        if more > 0 {
            *seconds.entry(now_s).or_default() += more;
        }
        RateTaken { taken: true, used: used + more, frees_in_s }
    }
}
