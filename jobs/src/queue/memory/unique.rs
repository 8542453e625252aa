//! Unique keys live and die with their jobs.

use super::job::Stop;
use super::state::State;
use crate::envelope::{UniquePolicy, Until};
use crate::id::JobId;
use crate::queue::dead_letters::Redriven;
use crate::tenant::TenantId;

/// Who has a unique key, and until when if it does not depend on the job.
#[derive(Debug)]
pub(super) struct KeyHolder {
    job: JobId,
    until_ms: Option<i64>,
}

impl State {
    /// The job that has a key. What was called off with its tenant has nothing any more.
    pub(super) fn key_holder(&self, tenant: &TenantId, key: &str, now_ms: i64) -> Option<JobId> {
        let holder = self.tenants.get(tenant)?.keys.get(key)?;
        let holds = match holder.until_ms {
            Some(until_ms) => now_ms < until_ms,
            None => self.jobs.get(&holder.job).is_some_and(|job| !job.stop.with_tenant),
        };
        holds.then_some(holder.job)
    }

    pub(super) fn take_key(&mut self, id: JobId, unique: &UniquePolicy, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let period_ms = unique.period.filter(|_| unique.until == Until::Period);
        let until_ms = period_ms
            .map(|period| now_ms.saturating_add(i64::try_from(period.0.as_millis()).unwrap_or(i64::MAX)));
        job.key = Some((unique.until, unique.digest.clone()));
        let name = job.tenant.clone();
        self.tenant(&name).keys.insert(unique.digest.clone(), KeyHolder { job: id, until_ms });
    }

    /// A job has ended, in whatever way: its key is free, unless it was taken for a period.
    pub(super) fn free_key(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some((until, key)) = job.key.clone() else { return };
        let name = job.tenant.clone();
        let keys = &mut self.tenant(&name).keys;
        if until != Until::Period && keys.get(&key).is_some_and(|holder| holder.job == id) {
            keys.remove(&key);
        }
    }

    /// A job has started.
    pub(super) fn free_key_at_start(&mut self, id: JobId) {
        let until = self.jobs.get(&id).and_then(|job| job.key.as_ref()).map(|(until, _)| *until);
        if until == Some(Until::Started) {
            self.free_key(id);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.key = None;
            }
        }
    }

    /// A job that is kept starts again, with its key.
    pub(super) fn redrive(&mut self, tenant: &TenantId, id: JobId, now_ms: i64) -> Redriven {
        let Some(job) = self.jobs.get(&id).filter(|job| job.tenant == *tenant && job.is_kept()) else {
            return Redriven::NotFound;
        };
        if let Some((_, key)) = job.key.clone().filter(|(until, _)| *until != Until::Period) {
            if self.key_holder(tenant, &key, now_ms).is_some_and(|holder| holder != id) {
                return Redriven::KeyTaken;
            }
            self.tenant(tenant).keys.insert(key, KeyHolder { job: id, until_ms: None });
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            (job.attempts, job.deaths, job.parks, job.stop) = (0, 0, 0, Stop::default());
            job.note.clear();
            job.redriven = true;
        }
        self.put_in_line(id, false);
        Redriven::Started
    }
}
