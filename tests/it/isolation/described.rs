//! What a job of each type is about.

use chrono::DateTime;
use jobs::envelope::{EnqueueOptions, StampedJob, Stamper};
use jobs::tenant::{Actor, ApiKeyId, Authenticated, KbId, Role, TenantContext};
use jobs::types::{
    BuildGraph, DeleteDocument, DeleteDocuments, DeleteKb, DeliverWebhook, DeprovisionTenant,
    ExtractEntities, FirstApiKey, IngestDocument, ProvisionTenant, ReindexKb,
};
use jobs::webhook::{EventId, WebhookId};
use jobs::{DocumentId, Job, JobId, JobKind};

/// Everything that a job can name.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) kb: KbId,
    pub(crate) document: DocumentId,
    pub(crate) revision: u64,
    pub(crate) key: ApiKeyId,
    /// A list of documents to delete.
    pub(crate) list: JobId,
    /// An endpoint for webhooks, and an event for it.
    pub(crate) webhook: (WebhookId, EventId),
}

/// The actor that enqueues a job, and the tenant's epoch in its stamp.
pub(crate) struct Asker<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) actor: Actor,
    pub(crate) epoch: u64,
}

impl<'a> Asker<'a> {
    /// An administrator of the tenant.
    pub(crate) fn of(tenant: &'a str) -> Self {
        Self { tenant, actor: Actor::User("product:test".parse().unwrap()), epoch: 0 }
    }

    #[expect(clippy::disallowed_methods, reason = "a test stands in for the API")]
    fn context(&self, kb: &KbId) -> TenantContext {
        TenantContext::for_request(Authenticated {
            tenant_id: self.tenant.parse().unwrap(),
            epoch: self.epoch,
            kb_id: Some(kb.clone()),
            actor: self.actor.clone(),
            role: Role::Admin,
            permissions: Role::Admin.permissions(),
        })
    }
}

/// A job of type `kind` about these ids. A new type does not compile until it is described here.
pub(crate) fn stamped(
    kind: JobKind,
    stamper: &Stamper,
    asker: &Asker,
    ids: &Ids,
    options: EnqueueOptions,
) -> StampedJob {
    let (document_id, revision) = (ids.document.clone(), ids.revision);
    let stamp = Stamp { stamper, context: asker.context(&ids.kb), options };
    match kind {
        JobKind::ProvisionTenant => {
            let secret_sha256 = "00".repeat(32);
            stamp.on(&ProvisionTenant { api_key: FirstApiKey { id: ids.key.clone(), secret_sha256 } })
        }
        JobKind::IngestDocument => stamp.on(&IngestDocument { document_id, revision }),
        JobKind::ExtractEntities => {
            stamp.on(&ExtractEntities { document_id, revision, first: 0, count: 1_000 })
        }
        JobKind::BuildGraph => stamp.on(&BuildGraph::of(document_id, revision)),
        JobKind::ReindexKb => stamp.on(&ReindexKb { after: Some(document_id) }),
        JobKind::DeleteDocument => stamp.on(&DeleteDocument { document_id, revision }),
        JobKind::DeleteDocuments => stamp.on(&DeleteDocuments { list: ids.list }),
        JobKind::DeleteKb => stamp.on(&DeleteKb {}),
        JobKind::DeprovisionTenant => stamp.on(&DeprovisionTenant {}),
        JobKind::DeliverWebhook => {
            let (webhook_id, event_id) = ids.webhook.clone();
            stamp.on(&DeliverWebhook { webhook_id, event_id })
        }
    }
}

/// An endpoint that is called so for this tenant alone, and an event.
pub(crate) fn webhook_of(tenant: &str) -> (WebhookId, EventId) {
    let id = JobId::derived(DateTime::UNIX_EPOCH, tenant).to_string();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).skip(8).collect();
    (format!("wh_{digits}").parse().unwrap(), format!("evt_{id}_1").parse().unwrap())
}

struct Stamp<'a> {
    stamper: &'a Stamper,
    context: TenantContext,
    options: EnqueueOptions,
}

impl Stamp<'_> {
    fn on<J: Job>(&self, job: &J) -> StampedJob {
        self.stamper.stamp(&self.context, job, self.options).expect("an administrator may ask for any job")
    }
}
