//! What happens in a tenant while it happens: progress, and events that listeners follow.
//!
//! Events of a tenant are a stream in Redis under `t:{tenant}:events`, bounded in length and in time. It exists only
//! while the tenant has listeners, and for a while after the last of them: for a tenant that none listens to, an event
//! costs one look at a key. Each event that was added is published on one channel, to which a process with listeners
//! subscribes once, for all of them ([`Hub`]). What could not be published is told as a `reset`.

mod hub;
mod publisher;

use std::sync::Arc;
use std::time::Duration;

use jobs::tenant::{KbId, TenantId};
use jobs::{DocumentId, JobId};

use crate::cache::Cache;
use crate::model::{Document, DocumentStage, DocumentStatus, Event, Progress, ProgressReport, Stage};
use crate::ports::StoreResult;

pub(crate) use hub::Hub;
pub use hub::{End, Follow, Listener, ListenerLimits, Missed, Told, Topic};
pub(crate) use publisher::Publisher;

/// The channel on which the events of all tenants with listeners are published.
const CHANNEL: &str = "tenantry:events";
/// How long the last report about a job or a document stays readable: what ended is of no interest soon, and each takes
/// room in Redis.
const PROGRESS_KEPT: Duration = Duration::from_secs(600);

/// The key of a tenant's events.
fn stream_of(tenant: &TenantId) -> String {
    format!("t:{tenant}:events")
}

fn job_key(job: JobId) -> String {
    format!("progress:{job}")
}

fn document_key(kb: &KbId, document: &DocumentId, revision: u64) -> String {
    format!("stage:{kb}:{document}:{revision}")
}

/// The field of one part of a stage.
fn part_field(stage: Stage, part: u32) -> String {
    format!("{}:{part}", stage.as_str())
}

/// The progress and the events of one tenant. Telling never waits and never fails: what is lost is told as a `reset`.
#[derive(Clone)]
pub struct TenantLive {
    publisher: Publisher,
    hub: Hub,
    cache: Arc<dyn Cache>,
    tenant: TenantId,
}

impl TenantLive {
    pub(crate) fn new(publisher: Publisher, hub: Hub, cache: Arc<dyn Cache>, tenant: TenantId) -> Self {
        Self { publisher, hub, cache, tenant }
    }

    /// Tells the tenant's listeners.
    pub fn tell(&self, event: Event) {
        self.publisher.tell(&self.tenant, event);
    }

    /// Keeps what a handler reports, and tells it.
    pub fn report(&self, report: ProgressReport) {
        self.publisher.report(&self.tenant, &self.cache, report);
    }

    /// What a job reported last; `None` when it reported nothing, or too long ago.
    ///
    /// # Errors
    /// When the cache does not answer.
    pub async fn job_progress(&self, job: JobId) -> StoreResult<Option<Progress>> {
        let text = self.cache.get(&job_key(job)).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Where a document is on its way into the graph; `None` when it has ended. Without reports, as far as its status
    /// tells.
    ///
    /// # Errors
    /// When the cache does not answer.
    pub async fn document_stage(&self, kb: &KbId, document: &Document) -> StoreResult<Option<DocumentStage>> {
        if document.status.is_in_graph() || document.status == DocumentStatus::Failed {
            return Ok(None);
        }
        let parts = self.cache.fields(&document_key(kb, &document.id, document.revision)).await?;
        let sum = |stage: Stage| {
            let parts = parts.iter().filter(|(field, _)| field.split(':').next() == Some(stage.as_str()));
            let parts: Vec<_> = parts.filter_map(|(_, part)| part.split_once('/')).collect();
            let number = |text: &str| text.parse::<u64>().unwrap_or_default();
            let sums = parts.iter().map(|(done, total)| (number(done), number(total)));
            sums.reduce(|sum, part| (sum.0 + part.0, sum.1 + part.1))
        };
        let stage = |name, (done, total): (u64, u64)| Some(DocumentStage { name, done, total });
        if document.status == DocumentStatus::Pending {
            let reading = sum(Stage::Reading);
            return Ok(
                reading.map_or_else(|| stage(Stage::Waiting, (0, 1)), |sum| stage(Stage::Reading, sum))
            );
        }
        if let Some(building) = sum(Stage::Building) {
            return Ok(stage(Stage::Building, building));
        }
        let chunks = u64::from(document.staged_chunks);
        let extracted = sum(Stage::Extracting).map_or(0, |(done, _)| done.min(chunks));
        Ok(stage(Stage::Extracting, (extracted, chunks)))
    }

    /// Follows what happens, from now on or from an event that was seen last.
    ///
    /// # Errors
    /// When there are too many listeners, or Redis does not answer.
    pub async fn follow(&self, follow: Follow) -> Result<Listener, Missed> {
        self.hub.follow(&self.tenant, follow).await
    }

    /// Whether this process has listeners of the tenant.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        self.hub.has_listeners(&self.tenant)
    }
}
