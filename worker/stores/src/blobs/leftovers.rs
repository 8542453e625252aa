//! Removes originals that no document names, and files of interrupted writes.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{ObjectBlobs, delete_as_of, fault, local};
use crate::catalog::DirectoryRows;
use crate::deadline::{BULK, CALL, within};
use crate::error::{FaultKind, StoreError};
use crate::ports::StoreResult;
use crate::scoped::Stores;

const OPERATION: &str = "leftovers.sweep";
/// Originals compared with the catalog at a time.
const BATCH: usize = 500;

/// Garbage collection for interrupted requests: an original is stored before its document is registered, and the
/// process may die in between. Works across tenants, and can do nothing but remove what the catalog does not name.
#[derive(Clone)]
pub struct Leftovers {
    blobs: ObjectBlobs,
    stores: Stores,
    rows: DirectoryRows,
}

/// Number of objects removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Originals that no document names.
    pub originals: u64,
    /// Files of interrupted writes.
    pub interrupted: u64,
}

impl Leftovers {
    pub(crate) fn new(blobs: ObjectBlobs, stores: Stores, rows: DirectoryRows) -> Self {
        Self { blobs, stores, rows }
    }

    /// Removes the leftovers of the tenants for which `wanted` is true, if they are older than `before`. Choose
    /// `before` longer ago than any request takes: a younger original may be about to be registered.
    ///
    /// Objects below the name of a tenant that the catalog never had are left alone, because another program may
    /// own them.
    ///
    /// # Errors
    /// When the blob store or the catalog is not available. Leftovers found until then have been removed.
    pub async fn sweep(
        &self,
        before: DateTime<Utc>,
        wanted: &(dyn Fn(&TenantId) -> bool + Sync),
    ) -> StoreResult<Swept> {
        let mut swept = Swept { originals: 0, interrupted: self.interrupted(before).await? };
        let root = Some(&self.blobs.root).filter(|root| !root.as_ref().is_empty());
        let list = self.blobs.store.list_with_delimiter(root);
        let found =
            within(OPERATION, BULK, async { list.await.map_err(|error| fault(OPERATION, error)) }).await?;
        for folder in found.common_prefixes {
            let tenant = folder.filename().and_then(|name| name.parse::<TenantId>().ok());
            let Some(tenant) = tenant.filter(|tenant| wanted(tenant)) else { continue };
            if self.rows.tenant(&tenant).await?.is_some() {
                swept.originals += self.of_tenant(&tenant, &folder, before).await?;
            }
        }
        Ok(swept)
    }

    async fn of_tenant(&self, tenant: &TenantId, folder: &Path, before: DateTime<Utc>) -> StoreResult<u64> {
        let mut objects = self.blobs.store.list(Some(folder));
        let (mut removed, mut batch) = (0, Vec::with_capacity(BATCH));
        loop {
            let next = async { objects.try_next().await.map_err(|error| fault(OPERATION, error)) };
            let next = within(OPERATION, CALL, next).await?;
            let ended = next.is_none();
            batch.extend(next.filter(|object| object.last_modified <= before).and_then(original));
            if batch.len() == BATCH || ended {
                removed += self.compare(tenant, std::mem::take(&mut batch)).await?;
            }
            if ended {
                return Ok(removed);
            }
        }
    }

    /// Removes those of the originals that no document names. Returns how many.
    async fn compare(&self, tenant: &TenantId, originals: Vec<Original>) -> StoreResult<u64> {
        let catalog = self.stores.catalog_of(tenant);
        let mut by_kb: HashMap<KbId, Vec<Original>> = HashMap::new();
        for original in originals {
            by_kb.entry(original.kb.clone()).or_default().push(original);
        }
        let mut removed = 0;
        for (kb, originals) in by_kb {
            let mut ids: Vec<_> = originals.iter().map(|original| original.document.clone()).collect();
            ids.dedup();
            let named: HashSet<_> = catalog.document_digests(&kb, &ids).await?.into_iter().collect();
            for Original { document, object, .. } in originals {
                let sha256 = object.location.filename().unwrap_or_default().to_owned();
                if named.contains(&(document, sha256)) {
                    continue;
                }
                let gone = delete_as_of(self.blobs.store.as_ref(), &object.location, object.last_modified);
                within(OPERATION, CALL, async { gone.await.map_err(|error| fault(OPERATION, error)) })
                    .await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn interrupted(&self, before: DateTime<Utc>) -> StoreResult<u64> {
        let Some(folder) = self.blobs.folder.clone() else { return Ok(0) };
        let remove =
            tokio::task::spawn_blocking(move || local::interrupted_remove(&folder, Some(before.into())));
        let removed = remove.await.map_err(|error| StoreError::transient(OPERATION, error))?;
        removed.map_err(|error| StoreError::of(FaultKind::of_io(&error), OPERATION, error))
    }
}

struct Original {
    kb: KbId,
    document: DocumentId,
    object: ObjectMeta,
}

/// Parses the path of an original, `…/{kb}/{document}/{sha256}`; `None` for any other object.
fn original(object: ObjectMeta) -> Option<Original> {
    let parts: Vec<_> = object.location.parts().collect();
    let [.., _tenant, kb, document, _digest] = parts.as_slice() else { return None };
    let (kb, document) = (kb.as_ref().parse().ok()?, document.as_ref().parse().ok()?);
    Some(Original { kb, document, object })
}
