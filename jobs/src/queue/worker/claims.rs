//! What this process has claimed, and until when it may believe so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ticket::Ticket;

#[derive(Debug, Default)]
pub(super) struct Claims {
    live: Mutex<HashMap<u64, LiveClaim>>,
    changed: Notify,
}

#[derive(Debug)]
struct LiveClaim {
    confirmed_until: Instant,
    lost: bool,
    jobs: HashMap<String, Arc<Ticket>>,
}

impl LiveClaim {
    fn lose(&mut self) {
        self.lost = true;
        for ticket in self.jobs.values() {
            ticket.cancel.cancel();
        }
    }
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, LiveClaim>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, ticket: &Arc<Ticket>, confirmed_until: Instant) {
        let mut live = self.lock();
        let claim = live.entry(ticket.fence).or_insert_with(|| LiveClaim {
            confirmed_until,
            lost: false,
            jobs: HashMap::new(),
        });
        claim.jobs.insert(ticket.id.clone(), Arc::clone(ticket));
    }

    pub(super) fn remove(&self, ticket: &Ticket) {
        let mut live = self.lock();
        if let Some(claim) = live.get_mut(&ticket.fence) {
            claim.jobs.remove(&ticket.id);
            if claim.jobs.is_empty() {
                live.remove(&ticket.fence);
            }
        }
        drop(live);
        self.changed.notify_waiters();
    }

    /// Claims worth renewing.
    pub(super) fn fences(&self) -> Vec<u64> {
        self.lock().iter().filter(|(_, claim)| !claim.lost).map(|(fence, _)| *fence).collect()
    }

    pub(super) fn confirm(&self, fence: u64, until: Instant) {
        if let Some(claim) = self.lock().get_mut(&fence) {
            claim.confirmed_until = claim.confirmed_until.max(until);
        }
    }

    /// Stops the work of a claim that somebody else has now. The number of jobs stopped.
    pub(super) fn lose(&self, fence: u64) -> usize {
        let mut live = self.lock();
        let Some(claim) = live.get_mut(&fence).filter(|claim| !claim.lost) else { return 0 };
        claim.lose();
        claim.jobs.len()
    }

    /// Stops the work of claims whose lease was not confirmed beyond `moment`.
    pub(super) fn lose_unconfirmed(&self, moment: Instant) -> usize {
        let mut stopped = 0;
        for claim in self.lock().values_mut().filter(|claim| !claim.lost && claim.confirmed_until <= moment) {
            claim.lose();
            stopped += claim.jobs.len();
        }
        stopped
    }

    /// Stops one job that somebody cancelled.
    pub(super) fn call_off(&self, fence: u64, id: &str) {
        if let Some(ticket) = self.lock().get(&fence).and_then(|claim| claim.jobs.get(id)) {
            ticket.call_off();
        }
    }

    /// Stops a tenant's jobs that were claimed up to `last_fence`.
    pub(super) fn call_off_tenant(&self, tenant: &str, last_fence: u64) {
        for (_, claim) in self.lock().iter().filter(|(fence, _)| **fence <= last_fence) {
            claim.jobs.values().filter(|ticket| ticket.tenant == tenant).for_each(|ticket| ticket.call_off());
        }
    }

    /// Worker time that was not charged yet, by tenant, in microseconds.
    pub(super) fn take_uncharged_us(&self) -> Vec<(String, i64)> {
        let mut charges: HashMap<String, i64> = HashMap::new();
        for ticket in self.tickets() {
            let us = ticket.take_uncharged_us();
            if us > 0 {
                *charges.entry(ticket.tenant.clone()).or_default() += us;
            }
        }
        charges.into_iter().collect()
    }

    /// Jobs that have been running for longer than `patience` after they were told to stop.
    pub(super) fn stuck(&self, patience: Duration) -> usize {
        let live = self.lock();
        let tickets = live.values().flat_map(|claim| claim.jobs.values());
        tickets.filter(|ticket| ticket.overdue().is_some_and(|overdue| overdue > patience)).count()
    }

    /// How long the job that runs longest has been running.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let live = self.lock();
        live.values().flat_map(|claim| claim.jobs.values()).filter_map(|ticket| ticket.ran_for()).max()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn cancel_all(&self) {
        for claim in self.lock().values() {
            claim.jobs.values().for_each(|ticket| ticket.cancel.cancel());
        }
    }

    pub(super) fn tickets(&self) -> Vec<Arc<Ticket>> {
        self.lock().values().flat_map(|claim| claim.jobs.values().cloned()).collect()
    }

    pub(super) fn job_count(&self) -> usize {
        self.lock().values().map(|claim| claim.jobs.len()).sum()
    }

    /// Waits until nothing is claimed. `false` when that takes longer than `deadline`.
    pub(super) async fn drained(&self, deadline: Duration) -> bool {
        let empty = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.lock().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(deadline, empty).await.is_ok()
    }
}
