//! Opening the stores, and the self-test that refuses to start when tenants are not isolated.

use std::sync::Arc;

use jobs::clock::SharedClock;

use crate::config::{InvalidStores, StoresConfig};
use crate::ports::{Directory, DueSchedules, OutboxRelay};
use crate::scoped::Stores;

/// The stores, opened.
pub struct Opened {
    /// The stores of tenants.
    pub stores: Stores,
    /// Who exists and who may do what.
    pub directory: Arc<dyn Directory>,
    /// Accepted jobs on their way to the queue.
    pub outbox: Arc<dyn OutboxRelay>,
    /// Schedules whose time has come.
    pub schedules: Arc<dyn DueSchedules>,
}

/// Opens the stores that `config` names and proves that one tenant cannot read another's canary row.
///
/// # Errors
/// When a store does not answer, is not set up, or fails the self-test. The error names the setting and the fix.
pub async fn open(config: &StoresConfig, clock: SharedClock) -> Result<Opened, InvalidStores> {
    let _ = (config, clock);
    todo!("the store implementations come next")
}
