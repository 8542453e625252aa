//! What the self-test writes and looks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use jobs::tenant::{KbId, TenantId};
use jobs::{DocumentId, JobId};
use sha2::{Digest as _, Sha256};

use crate::catalog::Catalog;
use crate::model::{
    Acceptance, Chunk, Extraction, GraphCounts, Idempotency, Kb, Mention, MentionKind, NewKb, WorkspaceId,
};
use crate::ports::{Blobs, Cache, Documents, Index, StoreResult};
use crate::scoped::Scope;

/// Whose rows are written. Look-alikes, so that a comparison by prefix shows.
const CANARY: &str = "self-test-canary-3f9c1b7d";
/// Who looks for them.
const PROBE: &str = "self-test-canary-3f9c1b7d-2";

/// What the two tenants saw of the canary's row.
pub(super) struct Seen {
    pub(super) canary: bool,
    pub(super) probe: bool,
}

/// The canary's and the probe's view of one port.
pub(super) type Pair<P> = (Arc<P>, Arc<P>);

pub(super) fn pair<P: ?Sized>(port: &dyn Scope<P>) -> Pair<P> {
    let tenant = |id: &str| -> TenantId { id.parse().expect("both ids are labels") };
    (port.scope(&tenant(CANARY)), port.scope(&tenant(PROBE)))
}

/// The ids of one run.
pub(super) struct Canary {
    now: DateTime<Utc>,
    name: String,
    kb: Kb,
    document: DocumentId,
}

impl Canary {
    pub(super) fn hatch(now: DateTime<Utc>) -> Self {
        let name = format!("canary-{}", JobId::generate(now));
        let id: KbId = name.parse().expect("a word and a UUID are a label");
        let digest = Sha256::digest(name.as_bytes());
        let random = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let workspace = WorkspaceId::generate(now, random);
        let kb = NewKb { id, name: name.clone(), workspace }.at(now);
        Self { now, document: DocumentId::of_name(&name), name, kb }
    }

    pub(super) async fn catalog(&self, (canary, probe): Pair<Catalog>) -> StoreResult<Seen> {
        let idempotency = Idempotency {
            key: self.name.clone(),
            fingerprint: self.name.clone(),
            status: 200,
            body: serde_json::Value::Null,
        };
        let acceptance = Acceptance { idempotency: Some(idempotency), ..Acceptance::default() };
        canary.accept(&acceptance, self.now).await?;
        Ok(Seen {
            canary: canary.replay(&self.name).await?.is_some(),
            probe: probe.replay(&self.name).await?.is_some(),
        })
    }

    pub(super) async fn documents(&self, (canary, probe): Pair<dyn Documents>) -> StoreResult<Seen> {
        let (kb, document) = (&self.kb.id, &self.document);
        canary.provision().await?;
        probe.provision().await?;
        canary.extractions_put(kb, document, 1, &[(0, Extraction::default())]).await?;
        let seen = Seen {
            canary: !canary.extractions(kb, document, 1, 0..1).await?.is_empty(),
            probe: !probe.extractions(kb, document, 1, 0..1).await?.is_empty(),
        };
        canary.extractions_forget(kb, document, None).await?;
        Ok(seen)
    }

    /// Under one workspace for both: what keeps them apart must be the tenant.
    pub(super) async fn index(&self, (canary, probe): Pair<dyn Index>) -> StoreResult<Seen> {
        let (kb, document, name) = (&self.kb, &self.document, self.name.as_str());
        let chunk = Chunk { order: 0, tokens: 1, content: "canary".into() };
        let kind = MentionKind::Entity { name: name.to_owned(), entity_type: "canary".into() };
        let mention = Mention { kind, chunk_id: document.chunk_id(0), description: String::new() };
        canary.chunks_replace(kb, document, name, &[chunk]).await?;
        canary.graph_replace(kb, document, name, &[mention]).await?;
        let own = canary.counts(kb).await?;
        let foreign = probe.counts(kb).await?;
        let chunks = probe.chunks(kb, document, 0..1).await?;
        let entities = probe.entities(kb, None, 1).await?;
        canary.graph_replace(kb, document, name, &[]).await?;
        canary.chunks_replace(kb, document, name, &[]).await?;
        Ok(Seen {
            canary: own.chunks == 1 && own.entities == 1,
            probe: foreign != GraphCounts::default() || !chunks.is_empty() || !entities.items.is_empty(),
        })
    }

    pub(super) async fn blobs(&self, (canary, probe): Pair<dyn Blobs>) -> StoreResult<Seen> {
        let (kb, document) = (&self.kb.id, &self.document);
        let bytes = Bytes::from(self.name.clone());
        let sha256 = hex::encode(Sha256::digest(&bytes));
        canary.original_put(kb, document, &sha256, bytes).await?;
        let seen = Seen {
            canary: canary.original(kb, document, &sha256).await?.is_some(),
            probe: probe.original(kb, document, &sha256).await?.is_some(),
        };
        canary.originals_forget(kb, document, None).await?;
        Ok(seen)
    }

    pub(super) async fn cache(&self, (canary, probe): Pair<dyn Cache>) -> StoreResult<Seen> {
        canary.put(&self.name, "canary", Duration::from_secs(60)).await?;
        let seen = Seen {
            canary: canary.get(&self.name).await?.is_some(),
            probe: probe.get(&self.name).await?.is_some(),
        };
        canary.delete(&self.name).await?;
        Ok(seen)
    }
}
