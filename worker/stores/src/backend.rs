//! What one kind of server (embedded files, or servers) has to bring along.

use std::sync::Arc;

use crate::directory::DirectoryRows;
use crate::ports::{
    Catalog, Documents, DueSchedules, Identities, Index, Lifecycle, OutboxRelay, SettingsRelay,
};
use crate::scoped::Scope;

/// Catalog, documents and index of one kind, opened. Blobs, cache and the directory's cache are the same for
/// all kinds.
pub(crate) struct Backend {
    pub(crate) catalog: Box<dyn Scope<dyn Catalog>>,
    pub(crate) lifecycle: Box<dyn Scope<dyn Lifecycle>>,
    pub(crate) documents: Box<dyn Scope<dyn Documents>>,
    pub(crate) index: Box<dyn Scope<dyn Index>>,
    pub(crate) rows: Arc<dyn DirectoryRows>,
    pub(crate) outbox: Arc<dyn OutboxRelay>,
    pub(crate) schedules: Arc<dyn DueSchedules>,
    pub(crate) settings: Arc<dyn SettingsRelay>,
    pub(crate) identities: Arc<dyn Identities>,
}
