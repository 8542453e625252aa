//! Originals between being stored and being registered.

use jobs::error::report;
use jobs::tenant::KbId;
use stores::{StoreError, TenantStores};

use super::upload::Upload;

/// The originals of one request.
struct Originals {
    stores: TenantStores,
    kb: KbId,
    uploads: Vec<Upload>,
}

/// Originals whose documents are not registered yet: they are stored before, so that a registered document always has
/// its original. Dropped before [`Unregistered::registered`], they are deleted again, however the request ended:
/// refused, failed, timed out, or abandoned by its client. Originals left by a process that dies in between are
/// removed by the workers.
pub(crate) struct Unregistered(Option<Originals>);

impl Unregistered {
    /// Stores the originals.
    ///
    /// # Errors
    /// When the blob store does not answer.
    pub(crate) async fn store(
        stores: &TenantStores,
        kb: &KbId,
        uploads: &[Upload],
    ) -> Result<Self, StoreError> {
        let originals = Originals { stores: stores.clone(), kb: kb.clone(), uploads: uploads.to_vec() };
        // Created before the first is stored: originals that are stored when a later one fails have to be deleted too.
        let unregistered = Self(Some(originals));
        let blobs = stores.blobs();
        for upload in uploads {
            let id = upload.name.document_id();
            blobs.original_put(kb, &id, &upload.sha256, upload.bytes.clone()).await?;
        }
        Ok(unregistered)
    }

    /// The documents are registered: earlier revisions' originals go, in the background, but for those that are served.
    pub(crate) fn registered(mut self) {
        if let Some(originals) = self.0.take() {
            tokio::spawn(look_after(originals, true));
        }
    }
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        if let Some(originals) = self.0.take() {
            tokio::spawn(look_after(originals, false));
        }
    }
}

/// Looks after originals one by one, in the background.
async fn look_after(originals: Originals, is_registered: bool) {
    let (stores, kb) = (&originals.stores, &originals.kb);
    for upload in &originals.uploads {
        let done =
            if is_registered { settle(stores, kb, upload).await } else { forget(stores, kb, upload).await };
        if let Err(error) = done {
            tracing::warn!(error = report(&error), "an original stays until the workers look for leftovers");
        }
    }
}

/// Removes an original unless a document names it. Another request with the same content may be registered at this
/// very moment: then it looks for its original afterwards, and so do we.
async fn forget(stores: &TenantStores, kb: &KbId, upload: &Upload) -> Result<(), StoreError> {
    if is_named(stores, kb, upload).await? {
        return Ok(());
    }
    let (id, blobs) = (upload.name.document_id(), stores.blobs());
    let mut stored = blobs.originals(kb, &id).await?;
    stored.retain(|original| original.sha256 == upload.sha256);
    blobs.originals_delete(kb, &id, &stored).await?;
    if is_named(stores, kb, upload).await? {
        blobs.original_put(kb, &id, &upload.sha256, upload.bytes.clone()).await?;
    }
    Ok(())
}

/// Makes sure that the original of a registered document is there, and that no earlier one is but that of the revision
/// that is served.
async fn settle(stores: &TenantStores, kb: &KbId, upload: &Upload) -> Result<(), StoreError> {
    let (id, blobs) = (upload.name.document_id(), stores.blobs());
    let mut stored = blobs.originals(kb, &id).await?;
    let ours = stored.iter().find(|original| original.sha256 == upload.sha256).map(|found| found.stored_at);
    if ours.is_none() && is_named(stores, kb, upload).await? {
        blobs.original_put(kb, &id, &upload.sha256, upload.bytes.clone()).await?;
    }
    // Later ones may belong to an upload that is being accepted at this moment.
    stored.retain(|original| ours.is_some_and(|ours| original.stored_at < ours));
    if !stored.is_empty() {
        let named = stores.catalog().document_digests(kb, std::slice::from_ref(&id)).await?;
        stored.retain(|original| named.iter().all(|(_, sha256)| *sha256 != original.sha256));
        blobs.originals_delete(kb, &id, &stored).await?;
    }
    Ok(())
}

async fn is_named(stores: &TenantStores, kb: &KbId, upload: &Upload) -> Result<bool, StoreError> {
    let named = stores.catalog().document_digests(kb, &[upload.name.document_id()]).await?;
    Ok(named.iter().any(|(_, sha256)| *sha256 == upload.sha256))
}
