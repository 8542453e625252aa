//! What tenants pay: an estimate at the start, the rest at the end.

use super::state::Model;
use crate::queue::model::world::{LEAST_US, UNKNOWN_US};

/// Virtual time of a microsecond of worker time at weight 1.
const US: f64 = 100.0;

impl Model {
    /// What one job is likely to cost, in whole microseconds.
    pub(crate) fn estimate(&self, tenant: usize) -> f64 {
        let estimate = self.tenants[tenant].estimate;
        if estimate == 0.0 { UNKNOWN_US } else { estimate.floor() }
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
        if tenant.estimate == 0.0 {
            tenant.estimate = mean;
        } else {
            tenant.estimate += (mean - tenant.estimate) * (jobs * 0.05).min(0.7);
        }
    }
}
