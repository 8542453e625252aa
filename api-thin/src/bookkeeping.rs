//! What requests leave to be written: that they were counted, which API keys they used, and which jobs the queue has.
//! None of it is part of an answer, so it is kept in memory and written once a second, together for each tenant, and at
//! a graceful end.
//!
//! A process that dies loses up to a second of it: calls that are not counted, a last use that is not known. Jobs that
//! it delivered then stay in the outbox, and the relay delivers them again; the queue ignores those that it still has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt as _;
use jobs::JobId;
use jobs::error::report;
use jobs::plan::{Limits, Quota};
use jobs::tenant::{ApiKeyId, TenantId};
use stores::model::{ApiCalls, Bookkeeping, OverQuota};
use stores::{StoreError, TenantStores};
use tokio_util::sync::CancellationToken;

/// How often it is written. The outbox relay leaves rows alone for longer.
const EVERY: Duration = Duration::from_secs(1);
/// How long the last write is waited for at the end.
const LAST: Duration = Duration::from_secs(10);
/// Tenants that are written at the same time.
const WRITES: usize = 4;
/// Delivered jobs of one tenant that are remembered while the catalog does not answer.
const DELIVERED_MAX: usize = 10_000;
/// After how many writes without a request a tenant is forgotten.
const IDLE_WRITES: u8 = 60;

/// A tenant and a day (UTC).
type Key = (TenantId, NaiveDate);

/// What is left to be written, by tenant and day. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Bookkeeper(Arc<Mutex<HashMap<Key, Account>>>);

/// One tenant's day.
struct Account {
    stores: TenantStores,
    /// A moment in the day.
    at: DateTime<Utc>,
    /// Calls that the catalog had at the last write; `None` before it was asked.
    written: Option<ApiCalls>,
    /// Calls in the write that is under way.
    writing: u64,
    left: Left,
    idle: u8,
    /// Held while it is written.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What was not written yet.
#[derive(Default)]
struct Left {
    calls: u64,
    keys_used: HashMap<ApiKeyId, DateTime<Utc>>,
    delivered: Vec<JobId>,
}

impl Bookkeeper {
    /// Counts a request, unless it is one too many of the day or of the month. Other processes' requests are known from
    /// the write before, as are, for the first second of a day, those of the day before.
    ///
    /// # Errors
    /// When there were as many as `limits` allow today or this month.
    pub(crate) async fn count_call(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<(), OverQuota> {
        let key = (tenant.clone(), now.date_naive());
        let maximum = |quota| limits.maximum(quota).map(|maximum| (quota, maximum));
        let maxima = [maximum(Quota::ApiCallsPerDay), maximum(Quota::ApiCallsPerMonth)];
        if maxima.iter().any(Option::is_some)
            && self.accounts().get(&key).is_none_or(|account| account.written.is_none())
        {
            self.ask(stores, &key, now).await;
        }
        let mut accounts = self.accounts();
        let account = accounts.entry(key).or_insert_with(|| Account::new(stores, now));
        let (written, unwritten) =
            (account.written.unwrap_or_default(), account.writing + account.left.calls);
        for (quota, maximum) in maxima.into_iter().flatten() {
            let written = if quota == Quota::ApiCallsPerDay { written.day } else { written.month };
            let current = written + unwritten;
            if current >= maximum {
                return Err(OverQuota { quota, current, maximum });
            }
        }
        account.left.calls += 1;
        account.idle = 0;
        Ok(())
    }

    /// What the catalog has. If it does not answer, the next request asks again.
    async fn ask(&self, stores: &TenantStores, key: &Key, now: DateTime<Utc>) {
        match stores.catalog().api_calls(now).await {
            Ok(written) => {
                let mut accounts = self.accounts();
                let account = accounts.entry(key.clone()).or_insert_with(|| Account::new(stores, now));
                account.written.get_or_insert(written);
            }
            Err(error) => {
                let error = report(&error);
                tracing::warn!(tenant.id = %key.0, error, "requests of this day and month are not known");
            }
        }
    }

    /// Notes that an API key is in use.
    pub(crate) fn key_used(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        key: ApiKeyId,
        now: DateTime<Utc>,
    ) {
        self.note(stores, tenant, now, |left| {
            left.keys_used.insert(key, now);
        });
    }

    /// Notes that the queue has these jobs, so that they are removed from the outbox.
    pub(crate) fn delivered(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        jobs: &[JobId],
        now: DateTime<Utc>,
    ) {
        self.note(stores, tenant, now, |left| left.add_delivered(jobs));
    }

    fn note(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        now: DateTime<Utc>,
        add: impl FnOnce(&mut Left),
    ) {
        let mut accounts = self.accounts();
        let account =
            accounts.entry((tenant.clone(), now.date_naive())).or_insert_with(|| Account::new(stores, now));
        add(&mut account.left);
        account.idle = 0;
    }

    /// Writes what is left of one tenant, so that the catalog has it.
    pub(crate) async fn settle(&self, tenant: &TenantId) {
        self.write_all(Some(tenant)).await;
    }

    /// Writes periodically until `stop` fires.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            self.accounts().retain(|_, account| account.is_of_use());
            self.write_all(None).await;
        }
    }

    /// Writes the rest. Call it when no more requests come.
    pub(crate) async fn finish(&self) {
        if tokio::time::timeout(LAST, self.write_all(None)).await.is_err() {
            tracing::warn!("the catalog is slow: the last requests were not counted");
        }
    }

    /// Writes what is left of one tenant, or of all, and waits for writes of it that are under way.
    pub(crate) async fn write_all(&self, only: Option<&TenantId>) {
        let due: Vec<_> = self
            .accounts()
            .iter()
            .filter(|(key, account)| only.is_none_or(|only| key.0 == *only) && account.is_due())
            .map(|(key, account)| (key.clone(), Arc::clone(&account.turn)))
            .collect();
        let write = |(key, turn)| {
            // A task, because a caller that goes away must not take with it what is being written.
            let write = tokio::spawn(self.clone().write(key, turn));
            async move { drop(write.await) }
        };
        futures::stream::iter(due).map(write).buffer_unordered(WRITES).collect::<()>().await;
    }

    async fn write(self, key: Key, turn: Arc<tokio::sync::Mutex<()>>) {
        let _turn = turn.lock().await;
        let Some((stores, left)) = self.begin(&key) else { return };
        let outcome = stores.catalog().bookkeep(&left).await;
        self.end(&key, left, outcome);
    }

    fn begin(&self, key: &Key) -> Option<(TenantStores, Bookkeeping)> {
        let mut accounts = self.accounts();
        let account = accounts.get_mut(key).filter(|account| !account.left.is_empty())?;
        let Left { calls, keys_used, delivered } = std::mem::take(&mut account.left);
        account.writing = calls;
        let keys_used = keys_used.into_iter().collect();
        Some((account.stores.clone(), Bookkeeping { at: account.at, calls, keys_used, delivered }))
    }

    fn end(&self, key: &Key, left: Bookkeeping, outcome: Result<Option<ApiCalls>, StoreError>) {
        let mut accounts = self.accounts();
        let Some(account) = accounts.get_mut(key) else { return };
        account.writing = 0;
        match outcome {
            Ok(calls) => account.written = calls.or(account.written),
            Err(error) => {
                // Perhaps it was written and only the answer was lost: then calls count twice, but never not at all.
                account.left.add_back(left);
                tracing::warn!(tenant.id = %key.0, error = report(&error), "requests were not counted yet");
            }
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Key, Account>> {
        // Every change leaves whole numbers, so that a poisoned lock is harmless.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn new(stores: &TenantStores, at: DateTime<Utc>) -> Self {
        let (left, turn) = (Left::default(), Arc::default());
        Self { stores: stores.clone(), at, written: None, writing: 0, left, idle: 0, turn }
    }

    fn is_due(&self) -> bool {
        !self.left.is_empty() || self.turn.try_lock().is_err()
    }

    fn is_of_use(&mut self) -> bool {
        self.idle = self.idle.saturating_add(1);
        self.is_due() || self.idle < IDLE_WRITES
    }
}

impl Left {
    fn is_empty(&self) -> bool {
        self.calls == 0 && self.keys_used.is_empty() && self.delivered.is_empty()
    }

    /// Those beyond the limit stay in the outbox: the relay finds them known.
    fn add_delivered(&mut self, jobs: &[JobId]) {
        let room = DELIVERED_MAX.saturating_sub(self.delivered.len());
        self.delivered.extend(jobs.iter().take(room));
    }

    fn add_back(&mut self, left: Bookkeeping) {
        self.calls += left.calls;
        for (key, at) in left.keys_used {
            self.keys_used.entry(key).or_insert(at);
        }
        self.add_delivered(&left.delivered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<JobId> {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        (0..count).map(|_| JobId::generate(now)).collect()
    }

    #[test]
    fn what_could_not_be_written_is_left_again() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let (one, two): (ApiKeyId, ApiKeyId) = ("one00000".parse().unwrap(), "two00000".parse().unwrap());
        let mut left = Left { calls: 1, keys_used: [(one.clone(), at(60))].into(), delivered: ids(1) };
        let keys_used = vec![(one.clone(), at(0)), (two.clone(), at(1))];
        left.add_back(Bookkeeping { at: at(0), calls: 2, keys_used, delivered: ids(2) });
        assert_eq!((left.calls, left.delivered.len()), (3, 3));
        assert_eq!(left.keys_used, [(one, at(60)), (two, at(1))].into(), "the later use counts");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut left = Left::default();
        left.add_delivered(&ids(DELIVERED_MAX - 1));
        left.add_delivered(&ids(3));
        assert_eq!(left.delivered.len(), DELIVERED_MAX);
    }
}
