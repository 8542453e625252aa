//! Jobs that will not run by themselves: dead letters and quarantine.

use super::client::Queue;
use super::error::QueueError;
use super::library::Operation;
use super::list::{JobFilter, PAGE};
use super::status::Kept;
use crate::id::JobId;
use crate::tenant::TenantId;

/// What became of a request to start a dead letter again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// It waits for a worker, with all its attempts.
    Started,
    /// Another job has its unique key now; it stays where it is.
    KeyTaken,
    /// It is neither a dead letter nor in quarantine.
    NotFound,
}

impl Queue {
    /// Starts a dead letter or a quarantined job again, with all its attempts. Its stamp is the one it always
    /// had, and is checked again when it runs.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn redrive(&self, tenant: &TenantId, id: JobId) -> Result<Redriven, QueueError> {
        let answer = self.redrive_ids(tenant, &[id]).await?;
        answer.first().copied().ok_or(QueueError::Answer("redrive"))
    }

    /// Starts every dead letter, or quarantined job, that matches `filter` again. How many it were.
    ///
    /// # Errors
    /// When Redis fails. Some run again then; redrive again.
    pub async fn redrive_where(
        &self,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
    ) -> Result<u64, QueueError> {
        let ids = self.kept_where(tenant, kept, filter).await?;
        let done = self.redrive_ids(tenant, &ids).await?;
        Ok(done.iter().filter(|done| **done == Redriven::Started).count() as u64)
    }

    /// As [`Queue::redrive`], for many; the answer says what became of each, in order.
    ///
    /// # Errors
    /// When Redis fails. Some run again then; redrive again.
    pub async fn redrive_ids(&self, tenant: &TenantId, ids: &[JobId]) -> Result<Vec<Redriven>, QueueError> {
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let letters: String = self.call_for(tenant, Operation::Redrive, arguments(tenant, ids)).await?;
            for letter in letters.chars() {
                done.push(match letter {
                    'o' => Redriven::Started,
                    'u' => Redriven::KeyTaken,
                    'n' => Redriven::NotFound,
                    _ => return Err(QueueError::Answer("redrive")),
                });
            }
        }
        Ok(done)
    }

    /// Throws a dead letter or a quarantined job away. `false` when it is neither.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn purge(&self, tenant: &TenantId, id: JobId) -> Result<bool, QueueError> {
        Ok(self.purge_ids(tenant, &[id]).await? == 1)
    }

    /// Throws every dead letter, or quarantined job, that matches `filter` away. How many it were.
    ///
    /// # Errors
    /// When Redis fails. Some are gone then; purge again.
    pub async fn purge_where(
        &self,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
    ) -> Result<u64, QueueError> {
        let ids = self.kept_where(tenant, kept, filter).await?;
        self.purge_ids(tenant, &ids).await
    }

    async fn purge_ids(&self, tenant: &TenantId, ids: &[JobId]) -> Result<u64, QueueError> {
        let mut purged = 0;
        for ids in ids.chunks(PAGE) {
            purged += self.call_for::<u64>(tenant, Operation::Purge, arguments(tenant, ids)).await?;
        }
        Ok(purged)
    }
}

fn arguments(tenant: &TenantId, ids: &[JobId]) -> Vec<String> {
    std::iter::once(tenant.to_string()).chain(ids.iter().map(JobId::to_string)).collect()
}
