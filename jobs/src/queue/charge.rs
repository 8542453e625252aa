//! What tenants pay for: worker time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::finishing::FinishedJob;

/// The least that a job costs, for the work it makes beside its handler's.
pub(super) const LEAST: Duration = Duration::from_micros(100);

/// What one job cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerTime {
    /// What was charged so far: an estimate at the claim, and more at each renewal of the lease.
    pub charged: Duration,
    /// How long a worker had it.
    pub took: Duration,
}

impl WorkerTime {
    /// How much more than charged it cost; negative when it was less. Microseconds.
    pub(super) fn delta_us(self) -> i64 {
        micros(self.took.max(LEAST)) - micros(self.charged)
    }
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Corrections of what tenants were charged, by shard.
#[derive(Debug, Default)]
pub(super) struct Charges(BTreeMap<u16, BTreeMap<Arc<str>, Charge>>);

#[derive(Debug, Default, Clone, Copy)]
struct Charge {
    delta_us: i64,
    jobs: u32,
    total_us: i64,
}

impl Charges {
    pub(super) fn of(jobs: &[FinishedJob]) -> Self {
        let mut charges = Self::default();
        for job in jobs {
            charges.add(job);
        }
        charges
    }

    pub(super) fn add(&mut self, job: &FinishedJob) {
        let Some(time) = job.time else { return };
        let tenants = self.0.entry(job.shard).or_default();
        let charge = tenants.entry(Arc::clone(&job.tenant)).or_default();
        charge.delta_us += time.delta_us();
        charge.jobs += 1;
        charge.total_us += micros(time.took.max(LEAST));
    }

    /// Takes out the charges that matter: those of at least `least`, in either direction. Small ones wait until
    /// they add up, because each costs Redis a rewrite of the tenant's row.
    pub(super) fn take_large(&mut self, least: Duration) -> Self {
        let (least, mut all) = (micros(least), Self::default());
        for (&shard, tenants) in &mut self.0 {
            let (large, small) =
                std::mem::take(tenants).into_iter().partition(|(_, charge)| charge.delta_us.abs() >= least);
            *tenants = small;
            all.0.insert(shard, large);
        }
        all
    }

    /// `'w' tenant delta_us count total_us`, for each tenant of the shard.
    pub(super) fn push_to(&self, shard: u16, arguments: &mut Vec<String>) {
        for (tenant, charge) in self.0.get(&shard).into_iter().flatten() {
            let Charge { delta_us, jobs, total_us } = charge;
            arguments.extend(["w".to_owned(), tenant.to_string(), delta_us.to_string()]);
            arguments.extend([jobs.to_string(), total_us.to_string()]);
        }
    }
}
