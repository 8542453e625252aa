use jobs::DocumentId;
use jobs::tenant::{KbId, TenantContext};
use stores::Stores;
use stores::model::{Chunk, DocumentCounts, DocumentStatus, Entity, Extraction, Relation};

/// Everything that a tenant's first knowledge base holds, as the stores hold it, without times and random ids: two
/// snapshots are equal when the knowledge bases cannot be told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The documents, by id.
    pub documents: Vec<DocumentSnapshot>,
    /// The nodes, by name.
    pub entities: Vec<Entity>,
    /// The edges, by their ends.
    pub relations: Vec<Relation>,
}

/// One document and what hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentSnapshot {
    /// Its id.
    pub id: DocumentId,
    /// Its name.
    pub name: String,
    /// Digest of its original.
    pub sha256: String,
    /// The document's status.
    pub status: DocumentStatus,
    /// How much of it is in the index.
    pub counts: DocumentCounts,
    /// Its text.
    pub text: Option<String>,
    /// Its chunks.
    pub chunks: Vec<Chunk>,
    /// The extractions from them.
    pub extractions: Vec<(u32, Extraction)>,
}

impl Snapshot {
    /// Reads everything of a tenant, straight from the stores.
    ///
    /// # Panics
    /// When a store does not answer, or the tenant has no first knowledge base.
    pub async fn of(stores: &Stores, tenant: &str) -> Self {
        let scoped = stores.scoped(&TenantContext::for_tests(tenant));
        let (catalog, index) = (scoped.catalog(), scoped.index());
        let kb = catalog.kb(&KbId::first()).await.unwrap().expect("the tenant is provisioned");
        let page = catalog.documents(&kb.id, None, None, 1000).await.unwrap();
        assert!(page.next.is_none(), "the snapshot is for small knowledge bases");
        let mut documents = Vec::new();
        for document in page.items {
            let texts = scoped.documents();
            let parsed = texts.parsed(&kb.id, &document.id).await.unwrap();
            let extractions =
                texts.extractions(&kb.id, &document.id, document.revision, 0..u32::MAX).await.unwrap();
            let chunks = index.chunks(&kb, &document.id, 0..u32::MAX).await.unwrap();
            documents.push(DocumentSnapshot {
                id: document.id,
                name: document.name,
                sha256: document.sha256,
                status: document.status,
                counts: document.counts,
                text: parsed.map(|parsed| parsed.text),
                chunks,
                extractions,
            });
        }
        let (mut entities, mut relations, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = index.entities(&kb, after.as_deref(), 1000).await.unwrap();
            entities.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut after = None;
        loop {
            let page = index.relations(&kb, after.as_ref(), 1000).await.unwrap();
            relations.extend(page.items);
            after = page.next.map(|next| next.parse().unwrap());
            if after.is_none() {
                break;
            }
        }
        Self { documents, entities, relations }
    }
}
