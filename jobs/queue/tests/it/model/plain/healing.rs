//! Keys that were damaged by hand, and their repair.

use super::state::{Cost, Id, Model, Place};
use crate::model::world::LEASE_MS;

impl Model {
    /// All tenants are repaired: running jobs have a lease, a count and a record again. Returns how many leases were
    /// missing.
    pub(crate) fn heal(&mut self) -> usize {
        let mut healed = 0;
        for claim in 0..self.claims.len() {
            let held = self.held(claim);
            if held.is_empty() {
                continue;
            }
            let (now, left) = (self.now, i64::try_from(held.len()).unwrap_or(0));
            let (record, tenants) = (self.record_of(&held), 0..self.tenants.len());
            let claim = &mut self.claims[claim];
            healed += usize::from(claim.lease.is_none());
            let broken = claim.lease.is_none() || claim.left.is_none() || claim.record.is_none();
            if broken {
                claim.left = Some(left);
            }
            claim.lease = claim.lease.or(Some(now + LEASE_MS));
            if claim.record.is_none() {
                claim.record = Some(tenants.map(|tenant| (tenant, record[tenant].clone())).collect());
            }
        }
        for tenant in 0..self.tenants.len() {
            self.expire_keys(tenant, 50);
        }
        healed
    }

    /// The jobs that a claim still holds.
    pub(crate) fn held(&self, claim: usize) -> Vec<Id> {
        let held = self.jobs.iter().filter(|(_, job)| job.place == Place::Active(claim));
        held.map(|(id, _)| *id).collect()
    }

    fn record_of(&self, held: &[Id]) -> Vec<Vec<Id>> {
        let of = |tenant| held.iter().copied().filter(|&id| self.tenant_of(id) == tenant).collect();
        (0..self.tenants.len()).map(of).collect()
    }

    /// A tenant's row cannot be read and is made again: what was measured and not set is forgotten.
    pub(crate) fn row_lost(&mut self, tenant: usize) {
        let tenant = &mut self.tenants[tenant];
        (tenant.hold, tenant.tat, tenant.bytes) = (0, 0.0, 0);
        (tenant.cost, tenant.credit, tenant.row_lost) = (Cost::Unknown, 0.0, true);
    }

    /// The queue forgot a tenant that had nothing any more.
    pub(crate) fn row_gone(&mut self, tenant: usize) {
        self.row_lost(tenant);
        let tenant = &mut self.tenants[tenant];
        (tenant.epoch, tenant.paid, tenant.payments, tenant.row_lost) = (0, 0.0, 0, false);
    }
}
