//! What this process has claimed, and until when it may believe so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ticket::Ticket;

/// Fences are unique in their shard only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClaimId {
    pub(super) shard: u16,
    pub(super) fence: u64,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    live: Mutex<HashMap<ClaimId, LiveClaim>>,
    changed: Notify,
}

#[derive(Debug)]
struct LiveClaim {
    confirmed_until: Instant,
    lost: bool,
    /// Each at its [`Ticket::place`].
    jobs: Vec<Option<Arc<Ticket>>>,
    left: usize,
}

impl LiveClaim {
    fn tickets(&self) -> impl Iterator<Item = &Arc<Ticket>> {
        self.jobs.iter().flatten()
    }

    fn lose(&mut self) {
        self.lost = true;
        self.tickets().for_each(|ticket| ticket.cancel.cancel());
    }
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimId, LiveClaim>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, ticket: &Arc<Ticket>, confirmed_until: Instant) {
        let mut live = self.lock();
        let claim = live.entry(ticket.claim).or_insert_with(|| LiveClaim {
            confirmed_until,
            lost: false,
            jobs: Vec::new(),
            left: 0,
        });
        if claim.jobs.len() <= ticket.place {
            claim.jobs.resize(ticket.place + 1, None);
        }
        if claim.jobs[ticket.place].replace(Arc::clone(ticket)).is_none() {
            claim.left += 1;
        }
    }

    pub(super) fn remove(&self, ticket: &Ticket) {
        let mut live = self.lock();
        if let Some(claim) = live.get_mut(&ticket.claim)
            && claim.jobs.get_mut(ticket.place).and_then(Option::take).is_some()
        {
            claim.left -= 1;
            if claim.left == 0 {
                live.remove(&ticket.claim);
            }
        }
        drop(live);
        self.changed.notify_waiters();
    }

    /// Fences of a shard's claims that are worth renewing.
    pub(super) fn fences(&self, shard: u16) -> Vec<u64> {
        let live = self.lock();
        let worth = live.iter().filter(|(id, claim)| id.shard == shard && !claim.lost);
        worth.map(|(id, _)| id.fence).collect()
    }

    pub(super) fn confirm(&self, id: ClaimId, until: Instant) {
        if let Some(claim) = self.lock().get_mut(&id) {
            claim.confirmed_until = claim.confirmed_until.max(until);
        }
    }

    /// Stops the work of a claim that somebody else has now. The number of jobs stopped.
    pub(super) fn lose(&self, id: ClaimId) -> usize {
        let mut live = self.lock();
        let Some(claim) = live.get_mut(&id).filter(|claim| !claim.lost) else { return 0 };
        claim.lose();
        claim.left
    }

    /// Stops the work of claims whose lease was not confirmed beyond `moment`.
    pub(super) fn lose_unconfirmed(&self, moment: Instant) -> usize {
        let mut stopped = 0;
        for claim in self.lock().values_mut().filter(|claim| !claim.lost && claim.confirmed_until <= moment) {
            claim.lose();
            stopped += claim.left;
        }
        stopped
    }

    /// Stops one job that somebody cancelled.
    pub(super) fn call_off(&self, claim: ClaimId, id: &str) {
        let live = self.lock();
        if let Some(ticket) =
            live.get(&claim).and_then(|claim| claim.tickets().find(|ticket| &*ticket.id == id))
        {
            ticket.call_off();
        }
    }

    /// Stops a tenant's jobs that were claimed up to `last`.
    pub(super) fn call_off_tenant(&self, tenant: &str, last: ClaimId) {
        let of_shard = |id: &ClaimId| id.shard == last.shard && id.fence <= last.fence;
        for (_, claim) in self.lock().iter().filter(|(id, _)| of_shard(id)) {
            claim.tickets().filter(|ticket| &*ticket.tenant == tenant).for_each(|ticket| ticket.call_off());
        }
    }

    /// Worker time that was not charged yet, of a shard's tenants, in microseconds.
    pub(super) fn take_uncharged_us(&self, shard: u16) -> Vec<(Arc<str>, i64)> {
        let mut charges: HashMap<Arc<str>, i64> = HashMap::new();
        for ticket in self.tickets().iter().filter(|ticket| ticket.claim.shard == shard) {
            let us = ticket.take_uncharged_us();
            if us > 0 {
                *charges.entry(Arc::clone(&ticket.tenant)).or_default() += us;
            }
        }
        charges.into_iter().collect()
    }

    /// Jobs that have been running for longer than `patience` after they were told to stop.
    pub(super) fn stuck(&self, patience: Duration) -> usize {
        let live = self.lock();
        let tickets = live.values().flat_map(LiveClaim::tickets);
        tickets.filter(|ticket| ticket.overdue().is_some_and(|overdue| overdue > patience)).count()
    }

    /// How long the job that runs longest has been running.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let live = self.lock();
        live.values().flat_map(LiveClaim::tickets).filter_map(|ticket| ticket.ran_for()).max()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn cancel_all(&self) {
        for claim in self.lock().values() {
            claim.tickets().for_each(|ticket| ticket.cancel.cancel());
        }
    }

    pub(super) fn tickets(&self) -> Vec<Arc<Ticket>> {
        self.lock().values().flat_map(|claim| claim.tickets().cloned()).collect()
    }

    pub(super) fn job_count(&self) -> usize {
        self.lock().values().map(|claim| claim.left).sum()
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
