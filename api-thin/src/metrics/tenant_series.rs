//! Series that name tenants: those with the most of something, and the rest together as `other`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::tenant::TenantId;

/// What all tenants without a series of their own are together. A tenant of that name has none.
const OTHER: &str = "other";
/// Tenants whose requests are counted to see whether they belong among the first.
const CANDIDATES: usize = 1_000;
/// How often the first are chosen anew.
const CHOSEN: Duration = Duration::from_secs(60);

/// Counts something by tenant. A tenant's series begins when it comes among the first `most`, at 0, and is gone when
/// another takes its place; `other` counts what the others do meanwhile. So rates are right for every tenant that has a
/// series.
pub(super) struct TenantCounter {
    most: usize,
    state: Mutex<State>,
}

struct State {
    named: HashMap<TenantId, Named>,
    candidates: HashMap<TenantId, u64>,
    other: u64,
    chosen: Instant,
}

#[derive(Default)]
struct Named {
    total: u64,
    /// Lately: halved each time the first are chosen.
    recent: u64,
}

impl TenantCounter {
    /// A counter with series for `most` tenants.
    pub(super) fn new(most: usize) -> Self {
        let (named, candidates) = Default::default();
        let state = State { named, candidates, other: 0, chosen: Instant::now() };
        Self { most, state: Mutex::new(state) }
    }

    pub(super) fn count(&self, tenant: &TenantId) {
        let mut state = self.state();
        let is_free = state.named.len() < self.most && tenant.as_str() != OTHER;
        if is_free && !state.named.contains_key(tenant) {
            state.named.insert(tenant.clone(), Named::default());
        }
        if let Some(named) = state.named.get_mut(tenant) {
            named.total += 1;
            named.recent += 1;
            return;
        }
        state.other += 1;
        if tenant.as_str() == OTHER || self.most == 0 {
            return;
        }
        if state.candidates.len() >= CANDIDATES && !state.candidates.contains_key(tenant) {
            // Makes room: those that ask seldom go first.
            state.candidates.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
        if state.candidates.len() < CANDIDATES {
            *state.candidates.entry(tenant.clone()).or_default() += 1;
        }
    }

    /// The series, after the first were chosen anew if it was time.
    pub(super) fn write(&self, name: &str, help: &str, text: &mut String) {
        let mut state = self.state();
        if state.chosen.elapsed() >= CHOSEN {
            state.choose();
        }
        let mut values: Vec<_> = state.named.iter().map(|(tenant, named)| (tenant, named.total)).collect();
        values.sort_unstable();
        let values = values.into_iter().map(|(tenant, total)| (tenant.as_str(), total));
        write(text, (name, help, "counter"), values.chain([(OTHER, state.other)]));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A candidate takes the place of a named tenant that does less than half as much.
    fn choose(&mut self) {
        let mut candidates: Vec<_> = self.candidates.drain().collect();
        candidates.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (tenant, count) in candidates {
            let least = self.named.iter().min_by_key(|(_, named)| named.recent);
            let Some((least, recent)) = least.map(|(tenant, named)| (tenant.clone(), named.recent)) else {
                break;
            };
            if count <= recent.saturating_mul(2) {
                break;
            }
            self.named.remove(&least);
            self.named.insert(tenant, Named { total: 0, recent: count });
        }
        self.named.values_mut().for_each(|named| named.recent /= 2);
        self.chosen = Instant::now();
    }
}

/// Sums by tenant, as a walk through all tenants finds them: the `most` largest, and all together.
#[derive(Debug, Clone, Default)]
pub(super) struct TenantSums {
    most: usize,
    largest: Vec<(u64, TenantId)>,
    total: u64,
}

impl TenantSums {
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(super) fn add(&mut self, tenant: &TenantId, sum: u64) {
        self.total += sum;
        if self.most == 0 || tenant.as_str() == OTHER {
            return;
        }
        let at = self.largest.partition_point(|(known, _)| *known >= sum);
        if at < self.most {
            self.largest.insert(at, (sum, tenant.clone()));
            self.largest.truncate(self.most);
        }
    }

    pub(super) fn write(&self, name: &str, help: &str, text: &mut String) {
        let named: u64 = self.largest.iter().map(|(sum, _)| sum).sum();
        let values = self.largest.iter().map(|(sum, tenant)| (tenant.as_str(), *sum));
        write(text, (name, help, "gauge"), values.chain([(OTHER, self.total.saturating_sub(named))]));
    }
}

/// Ids of tenants need no escapes.
fn write<'a>(
    text: &mut String,
    (name, help, kind): (&str, &str, &str),
    values: impl Iterator<Item = (&'a str, u64)>,
) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (tenant, value) in values {
        let _ = writeln!(text, "{name}{{tenant=\"{tenant}\"}} {value}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn lines(counter: &TenantCounter) -> Vec<String> {
        let mut text = String::new();
        counter.write("tenant_requests_total", "Requests.", &mut text);
        text.lines().filter(|line| line.starts_with("tenant")).map(str::to_owned).collect()
    }

    #[test]
    fn there_are_no_more_series_than_there_may_be() {
        let counter = TenantCounter::new(2);
        for number in 0..5_000 {
            counter.count(&tenant(&format!("t{number}")));
        }
        counter.count(&tenant("t0"));
        counter.count(&tenant(OTHER));
        let expected = [r#"{tenant="t0"} 2"#, r#"{tenant="t1"} 1"#, r#"{tenant="other"} 4999"#];
        assert_eq!(lines(&counter), expected.map(|line| format!("tenant_requests_total{line}")));
        assert!(counter.state().candidates.len() <= CANDIDATES);
    }

    #[test]
    fn who_asks_most_gets_a_series_that_begins_at_zero() {
        let counter = TenantCounter::new(1);
        counter.count(&tenant("early"));
        for _ in 0..3 {
            counter.count(&tenant("busy"));
        }
        counter.state().choose();
        counter.count(&tenant("busy"));
        counter.count(&tenant("early"));
        let expected = [r#"{tenant="busy"} 1"#, r#"{tenant="other"} 4"#];
        assert_eq!(lines(&counter), expected.map(|line| format!("tenant_requests_total{line}")));
    }

    #[test]
    fn without_series_of_tenants_all_are_other() {
        let counter = TenantCounter::new(0);
        counter.count(&tenant("acme"));
        assert_eq!(lines(&counter), [r#"tenant_requests_total{tenant="other"} 1"#]);
    }

    #[test]
    fn the_largest_are_named_and_the_rest_is_one() {
        let mut sums = TenantSums::new(2);
        for (name, sum) in [("a", 5), ("b", 70), ("c", 1), ("d", 6)] {
            sums.add(&tenant(name), sum);
        }
        let mut text = String::new();
        sums.write("tenant_storage_bytes", "Bytes.", &mut text);
        let values: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("tenant_storage_bytes")).collect();
        assert_eq!(values, [r#"{tenant="b"} 70"#, r#"{tenant="d"} 6"#, r#"{tenant="other"} 6"#]);
    }
}
