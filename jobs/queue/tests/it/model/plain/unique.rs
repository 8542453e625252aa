//! Unique keys.

use super::state::{Id, Model, Place};
use crate::model::commands::Scope;

/// The event that frees a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Started,
    Ended,
    /// It may start again, and takes its key again then.
    Kept,
}

impl Model {
    pub(super) fn unlock(&mut self, id: Id, when: When) {
        let tenant = self.tenant_of(id);
        let Some((scope, digest)) = self.job(id).key.clone() else { return };
        if when == When::Started && scope != Scope::Started {
            return;
        }
        let key = (tenant, digest);
        if !matches!(scope, Scope::Period(_)) && self.keys.get(&key).is_some_and(|(_, holder)| *holder == id)
        {
            self.keys.remove(&key);
        }
        if when != When::Kept {
            self.job_mut(id).key = None;
        }
    }

    /// Removes keys whose period is over.
    pub(super) fn expire_keys(&mut self, tenant: usize, limit: usize) {
        let mut over: Vec<_> = self
            .expiries
            .iter()
            .filter(|((of, _), at)| *of == tenant && **at <= self.now)
            .map(|(key, at)| (*at, key.clone()))
            .collect();
        over.sort();
        for (_, key) in over.into_iter().take(limit) {
            self.keys.remove(&key);
            self.expiries.remove(&key);
        }
    }

    /// Takes the key for a job, or returns the job that holds it.
    pub(super) fn lock(&mut self, id: Id, scope: Scope, digest: &str) -> Option<Id> {
        let (tenant, now) = (self.tenant_of(id), self.now);
        self.expire_keys(tenant, 10);
        let key = (tenant, digest.to_owned());
        if let Some(&(until, holder)) = self.keys.get(&key)
            && holder != id
        {
            let job = self.job(holder);
            let lives = job.place.is_known() && !job.damaged && job.epoch == self.tenants[tenant].epoch;
            if until.is_some() || lives {
                return Some(holder);
            }
        }
        let until = if let Scope::Period(period) = scope { Some(now + period) } else { None };
        match until {
            Some(until) => self.expiries.insert(key.clone(), until),
            None => self.expiries.remove(&key),
        };
        self.keys.insert(key, (until, id));
        self.job_mut(id).key = Some((scope, digest.to_owned()));
        None
    }

    /// Whether a job may still be replaced.
    pub(super) fn is_replaceable(&self, id: Id) -> bool {
        let job = self.job(id);
        !job.damaged && matches!(job.place, Place::Waiting | Place::Timer(..) | Place::Garbage)
    }
}
