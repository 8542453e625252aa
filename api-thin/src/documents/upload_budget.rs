use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs::tenant::TenantId;
use rand::Rng as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::config::RequestLimits;

/// Keeps the uploads that are in memory at once below a limit, and each tenant's below its share: half of what the
/// others leave. One tenant alone has half, `n` tenants an `(n + 1)`th each, and there is always room for the next.
#[derive(Debug, Clone)]
pub struct UploadBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    wait: Duration,
    held: Mutex<Held>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// There was no room for an upload for as long as it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl UploadBudget {
    /// A budget of `limits.uploads_bytes`, at least two largest requests, of which one tenant may have one.
    #[must_use]
    pub fn new(limits: &RequestLimits) -> Self {
        let most = limits.uploads_bytes.max(limits.request_bytes.saturating_mul(2));
        let (held, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { most, wait: limits.upload_wait, held, freed }))
    }

    /// An empty reservation for an upload of `tenant`.
    #[must_use]
    pub fn open(&self, tenant: TenantId) -> UploadRoom {
        UploadRoom { budget: self.clone(), tenant, bytes: 0 }
    }

    /// The most that all uploads hold together.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held().all
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        // The sums are changed by code that cannot panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, tenant: &TenantId, bytes: usize) -> bool {
        let mut held = self.held();
        let own = held.by_tenant.get(tenant).copied().unwrap_or_default();
        let share = self.most.saturating_sub(held.all - own) / 2;
        if own.saturating_add(bytes) > share {
            return false;
        }
        held.all += bytes;
        *held.by_tenant.entry(tenant.clone()).or_default() += bytes;
        true
    }
}

/// The memory reserved by one upload. Dropping it frees the memory for others.
#[derive(Debug)]
pub struct UploadRoom {
    budget: UploadBudget,
    tenant: TenantId,
    bytes: usize,
}

impl UploadRoom {
    /// Sees to it that `bytes` are held. Waits for room, but not for ever: uploads that came half-way and fill the
    /// memory together would wait for each other. They do not all give up in the same moment either.
    ///
    /// # Errors
    /// When there was no room.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let shared = &self.budget.0;
        if shared.try_take(&self.tenant, more) {
            self.bytes = bytes;
            return Ok(());
        }
        let patience = rand::rng().random_range(0.5..=1.0);
        let end = Instant::now() + shared.wait.mul_f64(patience);
        loop {
            let freed = shared.freed.notified();
            tokio::pin!(freed);
            // Heard from here on, also if room is made before it is waited for.
            freed.as_mut().enable();
            if shared.try_take(&self.tenant, more) {
                self.bytes = bytes;
                return Ok(());
            }
            timeout_at(end, freed).await.map_err(|_| NoRoom)?;
        }
    }
}

impl Drop for UploadRoom {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let shared = &self.budget.0;
        let mut held = shared.held();
        held.all -= self.bytes;
        if let Some(own) = held.by_tenant.get_mut(&self.tenant) {
            *own -= self.bytes;
            if *own == 0 {
                held.by_tenant.remove(&self.tenant);
            }
        }
        drop(held);
        shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve bytes in all.
    fn budget(wait: Duration) -> UploadBudget {
        let limits = RequestLimits {
            uploads_bytes: 12,
            request_bytes: 6,
            upload_wait: wait,
            ..RequestLimits::default()
        };
        UploadBudget::new(&limits)
    }

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_secs(60);

    fn room(budget: &UploadBudget, tenant: &str) -> UploadRoom {
        budget.open(tenant.parse().unwrap())
    }

    #[tokio::test]
    async fn a_tenant_has_half_of_what_the_others_leave() {
        let budget = budget(SHORT);
        let (mut first, mut second) = (room(&budget, "acme"), room(&budget, "acme"));
        first.hold(4).await.unwrap();
        second.hold(2).await.unwrap();
        assert_eq!(second.hold(3).await, Err(NoRoom), "its share is six");
        let mut other = room(&budget, "other");
        other.hold(3).await.unwrap();
        assert_eq!(other.hold(4).await, Err(NoRoom), "half of the six that are left");
        room(&budget, "third").hold(1).await.unwrap();
        assert_eq!(budget.held(), 9);
        drop((first, second));
        other.hold(6).await.unwrap();
        drop(other);
        assert_eq!(budget.held(), 0);
        assert!(budget.0.held().by_tenant.is_empty());
    }

    #[tokio::test]
    async fn room_that_is_made_is_taken_at_once() {
        let budget = budget(LONG);
        let (mut first, mut second) = (room(&budget, "acme"), room(&budget, "acme"));
        first.hold(6).await.unwrap();
        let start = Instant::now();
        let (held, ()) = tokio::join!(second.hold(5), async move { drop(first) });
        assert_eq!(held, Ok(()));
        assert!(start.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn uploads_that_block_each_other_do_not_all_fail() {
        let budget = budget(SHORT * 50);
        let mut uploads = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let mut upload = room(&budget, "acme");
            uploads.spawn(async move {
                upload.hold(1).await.unwrap();
                tokio::task::yield_now().await;
                upload.hold(4).await
            });
        }
        let done = uploads.join_all().await.into_iter().flatten().count();
        assert!(done >= 1, "{done} of 6");
        assert_eq!(budget.held(), 0);
    }
}
