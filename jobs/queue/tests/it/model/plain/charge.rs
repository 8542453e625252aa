//! What tenants pay: an estimate at the start, the rest at the end.

use super::state::{Cost, Model};
use crate::model::world::{LEAST_US, UNKNOWN_US};

/// Virtual time of a microsecond of worker time at weight 1.
const US: f64 = 100.0;

impl Model {
    /// The charge for a job that starts, in whole microseconds: an estimate, or, before any has ended, twice the time
    /// that the first of them has been running.
    pub(crate) fn price(&self, tenant: usize) -> f64 {
        match self.tenants[tenant].cost {
            Cost::Measured(us) => us.floor(),
            Cost::Started(since) if self.active(tenant) > 0 => {
                UNKNOWN_US.max(2_000.0 * super::claims::float(self.now - since))
            }
            Cost::Started(_) | Cost::Unknown => UNKNOWN_US,
        }
    }

    /// A job of the tenant starts.
    pub(super) fn pay(&mut self, tenant: usize) {
        let price = self.price(tenant);
        let first = self.active(tenant) == 0;
        let cost = &mut self.tenants[tenant].cost;
        if *cost == Cost::Unknown || first && matches!(cost, Cost::Started(_)) {
            *cost = Cost::Started(self.now);
        }
        self.charge(tenant, price);
    }

    /// Jobs ended without a report of their worker time.
    pub(super) fn not_measured(&mut self, tenant: usize) {
        let cost = &mut self.tenants[tenant].cost;
        if matches!(cost, Cost::Started(_)) {
            *cost = Cost::Measured(UNKNOWN_US);
        }
    }

    /// What the last charge added to the tenant's virtual time.
    pub(crate) fn last_payment(&self, tenant: usize) -> f64 {
        self.tenants[tenant].last_payment
    }

    /// What was charged too much pays for later jobs: virtual time does not go back.
    pub(crate) fn charge(&mut self, tenant: usize, delta_us: f64) {
        let tenant = &mut self.tenants[tenant];
        tenant.last_payment = 0.0;
        if delta_us < 0.0 {
            tenant.credit -= delta_us;
            return;
        }
        let from_credit = tenant.credit.min(delta_us);
        tenant.credit -= from_credit;
        tenant.last_payment = (delta_us - from_credit) * US / f64::from(tenant.weight);
        tenant.paid += tenant.last_payment;
        tenant.payments += 1;
    }

    /// The worker time of jobs that have ended: charged and taken, in microseconds.
    pub(crate) fn correct(&mut self, tenant: usize, times: &[(u64, u64)]) {
        if times.is_empty() {
            return;
        }
        let float = |us: u64| f64::from(u32::try_from(us).unwrap_or(u32::MAX));
        let took = |us: u64| float(us.max(LEAST_US));
        let delta = times.iter().map(|&(charged, us)| took(us) - float(charged)).sum();
        self.charge(tenant, delta);
        let jobs = float(times.len() as u64);
        let mean = (times.iter().map(|&(_, us)| took(us)).sum::<f64>() / jobs).max(float(LEAST_US));
        let tenant = &mut self.tenants[tenant];
        tenant.cost = match tenant.cost {
            Cost::Measured(us) => Cost::Measured(us + (mean - us) * (jobs * 0.05).min(0.7)),
            Cost::Unknown | Cost::Started(_) => Cost::Measured(mean),
        };
    }
}
