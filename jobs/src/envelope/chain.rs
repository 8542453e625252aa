//! Jobs that run one after the other.

use super::stamper::{EnqueueOptions, StampError, StampedJob, Stamper};
use crate::id::{GroupId, JobId};
use crate::job::Job;
use crate::tenant::TenantContext;

/// Jobs of one tenant, each of which starts when the one before has completed. When one fails for good or is
/// cancelled, the rest is cancelled.
///
/// ```
/// # use jobs::envelope::{Chain, Stamper, StampError};
/// # use jobs::tenant::TenantContext;
/// # fn example<A: jobs::Job, B: jobs::Job>(
/// #     stamper: &Stamper, tenant: &TenantContext, first: A, second: B,
/// # ) -> Result<(), StampError> {
/// let chain = Chain::of(stamper, tenant).then(&first)?.then(&second)?;
/// // queue.push_chain(&chain).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chain<'a> {
    stamper: &'a Stamper,
    tenant: &'a TenantContext,
    jobs: Vec<StampedJob>,
}

impl<'a> Chain<'a> {
    /// A chain without jobs.
    #[must_use]
    pub const fn of(stamper: &'a Stamper, tenant: &'a TenantContext) -> Self {
        Self { stamper, tenant, jobs: Vec::new() }
    }

    /// Adds a job to the end.
    ///
    /// # Errors
    /// As for [`Stamper::stamp`].
    pub fn then<J: Job>(self, job: &J) -> Result<Self, StampError> {
        self.then_with(job, EnqueueOptions::default())
    }

    /// Adds a job that differs from the usual of its type. Its group is the chain's affair.
    ///
    /// # Errors
    /// As for [`Stamper::stamp`].
    pub fn then_with<J: Job>(mut self, job: &J, options: EnqueueOptions) -> Result<Self, StampError> {
        let id = options.id.unwrap_or_else(|| JobId::generate(self.stamper.now()));
        let options = EnqueueOptions { id: Some(id), group: Some(GroupId::after(id)), ..options };
        self.jobs.push(self.stamper.stamp(self.tenant, job, options)?);
        Ok(self)
    }

    /// The jobs, the first to run first.
    #[must_use]
    pub fn jobs(&self) -> &[StampedJob] {
        &self.jobs
    }
}
