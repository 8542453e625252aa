//! A walk through all tenants, a few at a time: what they store, and whether documents of theirs wait in vain.
//!
//! It goes on while metrics are read, at a pace of its own, so that neither a scrape nor the catalog notices how many
//! tenants there are; with very many a walk takes hours.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use jobs::JobId;
use jobs::error::report;
use jobs::queue::{JobState, QueueError};
use jobs::tenant::TenantId;
use stores::model::TenantFilter;
use stores::{StoreError, TenantMeasure};

use super::tenant_series::TenantSums;
use crate::state::ApiState;

/// Tenants that are looked at in one step, and the least time between two steps.
const STEP: u32 = 50;
const PACE: Duration = Duration::from_secs(10);
/// A document waits in vain if it has not changed for this long, and no job will change it.
const LONG: TimeDelta = TimeDelta::minutes(10);

/// What a whole walk found.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) tenants: u64,
    pub(super) storage_bytes: TenantSums,
    pub(super) users: TenantSums,
    /// Documents that wait for a job that is not there.
    pub(super) documents_without_job: u64,
}

impl Findings {
    fn new(most: usize) -> Self {
        let (storage_bytes, users) = (TenantSums::new(most), TenantSums::new(most));
        Self { tenants: 0, storage_bytes, users, documents_without_job: 0 }
    }
}

/// The walk.
pub(super) struct Survey {
    most: usize,
    state: Mutex<Walk>,
}

struct Walk {
    /// The last tenant that was looked at.
    after: Option<TenantId>,
    so_far: Findings,
    whole: Option<Findings>,
    stepped: Option<Instant>,
    is_stepping: bool,
}

/// What a step could not be taken for.
#[derive(Debug, thiserror::Error)]
enum SurveyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Survey {
    /// A walk that names the `most` largest tenants.
    pub(super) fn new(most: usize) -> Self {
        let (after, so_far) = (None, Findings::new(most));
        let walk = Walk { after, so_far, whole: None, stepped: None, is_stepping: false };
        Self { most, state: Mutex::new(walk) }
    }

    /// What the last whole walk found.
    pub(super) fn findings(&self) -> Option<Findings> {
        self.walk().whole.clone()
    }

    /// Takes the next step, unless one is under way or was taken a moment ago.
    pub(super) async fn go_on(&self, app: &ApiState) {
        let Some(after) = self.begin() else { return };
        let found = step(app, after.as_ref()).await;
        let mut walk = self.walk();
        walk.is_stepping = false;
        walk.stepped = Some(Instant::now());
        match found {
            Ok(found) => self.add(&mut walk, found),
            Err(error) => tracing::warn!("tenants were not measured: {}", report(&error)),
        }
    }

    /// After which tenant the step begins; `None` when none is due.
    #[expect(
        clippy::option_option,
        reason = "whether there is a step, and whether it begins at the first tenant"
    )]
    fn begin(&self) -> Option<Option<TenantId>> {
        let mut walk = self.walk();
        let is_due = walk.stepped.is_none_or(|stepped| stepped.elapsed() >= PACE);
        if walk.is_stepping || !is_due {
            return None;
        }
        walk.is_stepping = true;
        Some(walk.after.clone())
    }

    fn add(&self, walk: &mut Walk, (found, is_end): Found) {
        for (tenant, measure, without_job) in found {
            walk.so_far.tenants += 1;
            walk.so_far.storage_bytes.add(&tenant, measure.storage_bytes);
            walk.so_far.users.add(&tenant, measure.users);
            walk.so_far.documents_without_job += without_job;
            walk.after = Some(tenant);
        }
        if is_end {
            walk.after = None;
            walk.whole = Some(std::mem::replace(&mut walk.so_far, Findings::new(self.most)));
        }
    }

    fn walk(&self) -> MutexGuard<'_, Walk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tenants, how many documents of each wait in vain, and whether they are the last.
type Found = (Vec<(TenantId, TenantMeasure, u64)>, bool);

/// The next tenants, and how many documents of each wait for a job that is not there.
async fn step(app: &ApiState, after: Option<&TenantId>) -> Result<Found, SurveyError> {
    let tenants = app.directory().tenants(&TenantFilter::default(), after, STEP).await?;
    let mut found = Vec::with_capacity(tenants.items.len());
    for tenant in tenants.items {
        let before = app.clock().now() - LONG;
        let measure = app.metrics().stores().measures().tenant(&tenant.id, before).await?;
        let without_job = without_job(app, &tenant.id, &measure).await?;
        found.push((tenant.id, measure, without_job));
    }
    Ok((found, tenants.next.is_none()))
}

/// A document that was not read yet waits for its job. The ids of the jobs that come afterwards are not known: where
/// the tenant has any open job, it may be one of them.
async fn without_job(app: &ApiState, tenant: &TenantId, measure: &TenantMeasure) -> Result<u64, QueueError> {
    if measure.waiting.is_empty() {
        return Ok(0);
    }
    let has_open_jobs = app.queue().stats(tenant).await?.open() > 0;
    let mut count = 0;
    for document in &measure.waiting {
        let has_job = has_open_jobs && (!document.is_pending || is_open(app, tenant, document.job).await?);
        count += u64::from(!has_job);
    }
    Ok(count)
}

async fn is_open(app: &ApiState, tenant: &TenantId, job: JobId) -> Result<bool, QueueError> {
    let ended = [JobState::Completed, JobState::Cancelled, JobState::Discarded, JobState::Quarantined];
    let status = app.queue().lookup(tenant, job).await?;
    Ok(status.is_some_and(|status| !ended.contains(&status.state)))
}
