//! What stores and queue hold of a tenant, to be compared with what they hold later.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::plan::Limits;
use jobs::queue::Queue;
use jobs::tenant::{KbId, TenantContext};
use stores::model::{ApiCalls, Kb, UploadQuestion};
use stores::{Stores, TenantStores};

/// Everything that there is of a tenant, as text, with all times and random ids: two are equal when nothing
/// was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Holdings {
    /// The contents of the stores.
    pub stored: String,
    /// How much there is of everything, in the catalog and in the queue.
    pub counted: String,
}

impl Holdings {
    /// The current contents. `names` are those of the documents whose texts, chunks and originals are looked for, in
    /// every knowledge base, also in one that is being deleted.
    ///
    /// # Panics
    /// When a store or the queue does not answer.
    pub async fn of(
        stores: &Stores,
        queue: &Queue,
        tenant: &str,
        names: &[&str],
        now: DateTime<Utc>,
    ) -> Self {
        let stats = queue.stats(&tenant.parse().unwrap()).await.unwrap();
        let stores = stores.scoped(&TenantContext::for_tests(tenant));
        let mut usage = stores.catalog().usage(now).await.unwrap();
        // Written down some time after the requests.
        usage.api_calls = ApiCalls::default();
        let mut lines = rows(&stores).await;
        for kb in stores.lifecycle().tenant_kbs().await.unwrap() {
            lines.push(format!("{:?}", stores.index().entities(&kb, None, 1_000).await.unwrap().items));
            lines.push(format!("{:?}", stores.index().relations(&kb, None, 1_000).await.unwrap().items));
            for name in names {
                lines.push(document(&stores, &kb, &DocumentId::of_name(name)).await);
            }
        }
        Self { stored: lines.join("\n"), counted: format!("{stats:?} {usage:?}") }
    }
}

/// The tenant's rows in the catalog, and how large its graphs are.
pub(crate) async fn rows(stores: &TenantStores) -> Vec<String> {
    let catalog = stores.catalog();
    let mut lines = vec![
        format!("{:?}", catalog.tenant().await.unwrap()),
        format!("{:?}", catalog.members(None, None, 1_000).await.unwrap()),
        format!("{:?}", catalog.invitations(None, 1_000, DateTime::UNIX_EPOCH).await.unwrap()),
    ];
    for mut key in catalog.api_keys(None, 1_000).await.unwrap().items {
        // That a request was refused with a key is a use of it.
        key.last_used_at = None;
        lines.push(format!("{key:?}"));
    }
    for webhook in catalog.webhooks(None, 1_000).await.unwrap().items {
        lines
            .push(format!("{:?}", catalog.webhook_deliveries(&webhook.id, None, None, 1_000).await.unwrap()));
        lines.push(format!("{webhook:?}"));
    }
    for kb in stores.lifecycle().tenant_kbs().await.unwrap() {
        lines.push(format!("{kb:?}"));
        lines.push(format!("{:?}", catalog.documents(&kb.id, None, None, 1_000).await.unwrap()));
        lines.push(format!("{:?}", catalog.schedules(&kb.id).await.unwrap()));
        lines.push(format!("{:?}", stores.index().counts(&kb).await.unwrap()));
    }
    lines
}

/// The revision on which the next upload of a document builds.
///
/// # Panics
/// When the catalog does not answer.
pub async fn last_revision(stores: &TenantStores, kb: &KbId, id: &DocumentId) -> u64 {
    let documents = std::slice::from_ref(id);
    let asked = UploadQuestion { kb, documents, key: None, batch: None, limits: &Limits::default() };
    let view = stores.catalog().upload_view(&asked, DateTime::UNIX_EPOCH).await.unwrap();
    view.documents[0].revision
}

async fn document(stores: &TenantStores, kb: &Kb, id: &DocumentId) -> String {
    let texts = stores.documents();
    let revision = last_revision(stores, &kb.id, id).await;
    let mut extractions = Vec::new();
    for revision in 0..=revision {
        extractions.push(texts.extractions(&kb.id, id, revision, 0..u32::MAX).await.unwrap());
    }
    let (text, chunks) =
        (texts.parsed(&kb.id, id).await.unwrap(), stores.index().chunks(kb, id, 0..u32::MAX).await.unwrap());
    let originals = stores.blobs().originals(&kb.id, id).await.unwrap();
    format!("{id} {revision} {text:?} {chunks:?} {extractions:?} {originals:?}")
}
