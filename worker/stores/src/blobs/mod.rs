//! Uploaded originals: objects in a local directory or in an S3-compatible store.

mod leftovers;
mod local;
#[cfg(feature = "s3")]
mod s3;
#[cfg(test)]
#[cfg(feature = "s3")]
mod s3_server;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

#[cfg(feature = "s3")]
use self::s3::S3Settings;
use crate::config::{InvalidStores, StoresConfig};
use crate::deadline::{BULK, within};
use crate::error::{FaultKind, StoreError};
use crate::ports::StoreResult;
use crate::scoped::Scope;

pub use leftovers::{Leftovers, Swept};

/// An original in the blob store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOriginal {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// When it was last stored, by the clock of the blob store.
    pub stored_at: DateTime<Utc>,
}

/// The tenant's uploaded originals. Their paths contain the digest, so that a new upload never changes what a
/// running job reads.
#[async_trait::async_trait]
pub trait Blobs: Send + Sync {
    /// Stores an original. Storing the same again only renews its time.
    async fn original_put(
        &self,
        kb: &KbId,
        document: &DocumentId,
        sha256: &str,
        bytes: Bytes,
    ) -> StoreResult<()>;

    /// An original, its digest verified; `None` when it is not there.
    async fn original(&self, kb: &KbId, document: &DocumentId, sha256: &str) -> StoreResult<Option<Bytes>>;

    /// Removes the document's originals that were stored before the one with the digest `keep`, or all of them.
    /// Later ones are kept, because they may belong to an upload that is being accepted at this moment.
    async fn originals_forget(&self, kb: &KbId, document: &DocumentId, keep: Option<&str>)
    -> StoreResult<()>;

    /// The document's originals, each with its time of storage.
    async fn originals(&self, kb: &KbId, document: &DocumentId) -> StoreResult<Vec<StoredOriginal>>;

    /// Removes these originals, except those that were stored again since.
    async fn originals_delete(
        &self,
        kb: &KbId,
        document: &DocumentId,
        originals: &[StoredOriginal],
    ) -> StoreResult<()>;

    /// Removes all originals of a knowledge base.
    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()>;

    /// Removes all originals of the tenant.
    async fn tenant_forget(&self) -> StoreResult<()>;
}

/// The originals of all tenants.
#[derive(Clone)]
pub(crate) struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// The directory of the originals, if they are on this machine.
    folder: Option<PathBuf>,
}

impl ObjectBlobs {
    /// Opens the object store that the configuration names.
    ///
    /// # Errors
    /// When the address or a setting cannot be read, or the local directory cannot be used.
    pub(crate) fn open(config: &StoresConfig) -> Result<Self, InvalidStores> {
        let Some(url) = &config.blobs_url else {
            return Self::local(&config.data_dir);
        };
        #[cfg(feature = "s3")]
        return Self::remote(&S3Settings::read(url, |name| std::env::var(name).ok())?);
        #[cfg(not(feature = "s3"))]
        {
            let _ = url;
            Err(InvalidStores::not_compiled_in("TENANTRY_BLOBS_URL", "s3"))
        }
    }

    fn local(data: &std::path::Path) -> Result<Self, InvalidStores> {
        let (store, folder) = (local::directory(data)?, Some(local::folder(data)));
        Ok(Self { store, root: Path::default(), folder })
    }

    #[cfg(feature = "s3")]
    fn remote(settings: &S3Settings) -> Result<Self, InvalidStores> {
        let root = Path::from(settings.prefix.as_str());
        Ok(Self { store: s3::client(settings)?, root, folder: None })
    }
}

impl Scope<dyn Blobs> for ObjectBlobs {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Blobs> {
        let root = self.root.clone().join(tenant.as_str());
        let folder = self.folder.as_ref().map(|folder| folder.join(tenant.as_str()));
        Arc::new(TenantBlobs { store: Arc::clone(&self.store), root, folder })
    }
}

struct TenantBlobs {
    store: Arc<dyn ObjectStore>,
    /// Directory of the tenant's originals, if they are on this machine.
    folder: Option<PathBuf>,
    /// Path of the tenant. The tenant's id is a whole part of it, so `acme` is no prefix of `acme-2`.
    root: Path,
}

impl TenantBlobs {
    fn document(&self, kb: &KbId, document: &DocumentId) -> Path {
        self.root.clone().join(kb.as_str()).join(document.as_str())
    }

    /// Removes every object below `folder`.
    async fn clear(&self, operation: &'static str, folder: &Path) -> StoreResult<()> {
        let clear = async {
            let found = self.store.list(Some(folder)).map_ok(|object| object.location).boxed();
            let mut gone = self.store.delete_stream(found);
            while let Some(gone) = gone.next().await {
                match gone {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        within(operation, BULK, async { clear.await.map_err(|error| fault(operation, error)) }).await
    }

    /// Removes files of interrupted writes below `folder`, even young ones, because the knowledge base or tenant is
    /// closed and no upload can be running.
    async fn interrupted_clear(&self, operation: &'static str, kb: Option<&KbId>) -> StoreResult<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let folder = kb.map_or_else(|| folder.clone(), |kb| folder.join(kb.as_str()));
        let remove = tokio::task::spawn_blocking(move || local::interrupted_remove(&folder, None));
        let removed = remove.await.map_err(|error| StoreError::transient(operation, error))?;
        removed.map(drop).map_err(|error| StoreError::of(FaultKind::of_io(&error), operation, error))
    }
}

#[async_trait::async_trait]
impl Blobs for TenantBlobs {
    async fn original_put(
        &self,
        kb: &KbId,
        document: &DocumentId,
        sha256: &str,
        bytes: Bytes,
    ) -> StoreResult<()> {
        const OPERATION: &str = "blobs.original_put";
        let path = self.document(kb, document).join(digest_checked(OPERATION, sha256)?);
        let put =
            async { self.store.put(&path, bytes.into()).await.map_err(|error| fault(OPERATION, error)) };
        within(OPERATION, BULK, put).await.map(drop)
    }

    async fn original(&self, kb: &KbId, document: &DocumentId, sha256: &str) -> StoreResult<Option<Bytes>> {
        const OPERATION: &str = "blobs.original";
        let path = self.document(kb, document).join(digest_checked(OPERATION, sha256)?);
        let get = async {
            let bytes = match self.store.get(&path).await {
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(fault(OPERATION, error)),
                Ok(found) => found.bytes().await.map_err(|error| fault(OPERATION, error))?,
            };
            intact(OPERATION, bytes, sha256).await.map(Some)
        };
        within(OPERATION, BULK, get).await
    }

    async fn originals_forget(
        &self,
        kb: &KbId,
        document: &DocumentId,
        keep: Option<&str>,
    ) -> StoreResult<()> {
        const OPERATION: &str = "blobs.originals_forget";
        let folder = self.document(kb, document);
        let forget = async {
            let found: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
            let kept = keep.map(|keep| found.iter().find(|object| object.location.filename() == Some(keep)));
            let is_old = |object: &&ObjectMeta| match kept {
                None => true,
                Some(kept) => kept.is_some_and(|kept| object.last_modified < kept.last_modified),
            };
            for object in found.iter().filter(is_old) {
                match self.store.delete(&object.location).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        within(OPERATION, BULK, async { forget.await.map_err(|error| fault(OPERATION, error)) }).await
    }

    async fn originals(&self, kb: &KbId, document: &DocumentId) -> StoreResult<Vec<StoredOriginal>> {
        const OPERATION: &str = "blobs.originals";
        let folder = self.document(kb, document);
        let stored = |object: ObjectMeta| {
            let sha256 = object.location.filename()?.to_owned();
            Some(StoredOriginal { sha256, stored_at: object.last_modified })
        };
        let list = async {
            let found: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
            Ok(found.into_iter().filter_map(stored).collect())
        };
        within(OPERATION, BULK, async { list.await.map_err(|error| fault(OPERATION, error)) }).await
    }

    async fn originals_delete(
        &self,
        kb: &KbId,
        document: &DocumentId,
        originals: &[StoredOriginal],
    ) -> StoreResult<()> {
        const OPERATION: &str = "blobs.originals_delete";
        let mut paths = Vec::with_capacity(originals.len());
        for original in originals {
            let path = self.document(kb, document).join(digest_checked(OPERATION, &original.sha256)?);
            paths.push((path, original.stored_at));
        }
        let delete = async {
            for (path, stored_at) in &paths {
                delete_as_of(self.store.as_ref(), path, *stored_at).await?;
            }
            Ok(())
        };
        within(OPERATION, BULK, async { delete.await.map_err(|error| fault(OPERATION, error)) }).await
    }

    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()> {
        self.interrupted_clear("blobs.kb_forget", Some(kb)).await?;
        self.clear("blobs.kb_forget", &self.root.clone().join(kb.as_str())).await
    }

    async fn tenant_forget(&self) -> StoreResult<()> {
        self.interrupted_clear("blobs.tenant_forget", None).await?;
        self.clear("blobs.tenant_forget", &self.root).await
    }
}

/// Deletes an object unless it is gone or was stored again after `stored_at`.
async fn delete_as_of(
    store: &dyn ObjectStore,
    path: &Path,
    stored_at: DateTime<Utc>,
) -> object_store::Result<()> {
    let now = match store.head(path).await {
        Err(Error::NotFound { .. }) => return Ok(()),
        now => now?,
    };
    if now.last_modified > stored_at {
        return Ok(());
    }
    match store.delete(path).await {
        Err(Error::NotFound { .. }) => Ok(()),
        done => done,
    }
}

/// Checks that a digest is one: it becomes the last part of a path.
fn digest_checked<'a>(operation: &'static str, sha256: &'a str) -> StoreResult<&'a str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if sha256.len() == 64 && sha256.bytes().all(hex) {
        return Ok(sha256);
    }
    Err(StoreError::Conflict { operation, what: "the name of an original is not a SHA-256 digest" })
}

/// Returns the bytes if their digest matches. Hashes on a blocking thread, because a large file would hold up the
/// runtime.
async fn intact(operation: &'static str, bytes: Bytes, sha256: &str) -> StoreResult<Bytes> {
    let hash = move || (hex::encode(Sha256::digest(&bytes)), bytes);
    let hashed = tokio::task::spawn_blocking(hash).await;
    let (found, bytes) = hashed.map_err(|error| StoreError::transient(operation, error))?;
    if found == sha256 {
        return Ok(bytes);
    }
    Err(StoreError::permanent(operation, "the original is damaged: its digest differs from its name"))
}

/// Converts an error of the object store.
fn fault(operation: &'static str, error: Error) -> StoreError {
    StoreError::of(kind(&error), operation, error)
}

fn kind(error: &Error) -> FaultKind {
    match error {
        Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => FaultKind::Permanent,
        Error::JoinError { .. }
        | Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. } => FaultKind::Transient,
        // A missing bucket, or credentials that were changed or expired: the operator has to act, and the call
        // would succeed afterwards.
        Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            FaultKind::Unavailable
        }
        // A local file has an I/O error as its cause. A server that refused after several tries has none: it is
        // full, slow or away.
        other => cause(other).map_or(FaultKind::Unavailable, FaultKind::of_io),
    }
}

fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tenant_blobs_tests {
    use super::*;
    #[cfg(feature = "s3")]
    use crate::blobs::s3_server;

    #[tokio::test]
    async fn a_damaged_original_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let blobs = ObjectBlobs::local(data.path()).unwrap().scope(&"acme".parse().unwrap());
        let (kb, document) = (KbId::first(), DocumentId::of_name("a.md"));
        let sha256 = hex::encode(Sha256::digest(b"whole"));
        blobs.original_put(&kb, &document, &sha256, Bytes::from_static(b"whole")).await.unwrap();
        assert_eq!(blobs.original(&kb, &document, &sha256).await.unwrap().unwrap(), "whole");

        let file = data.path().join("blobs/acme/default").join(document.as_str()).join(&sha256);
        std::fs::write(file, b"half").unwrap();
        assert!(!blobs.original(&kb, &document, &sha256).await.unwrap_err().is_transient());
    }

    #[tokio::test]
    async fn a_name_that_is_no_digest_reaches_no_file() {
        let data = tempfile::tempdir().unwrap();
        let blobs = ObjectBlobs::local(data.path()).unwrap().scope(&"acme".parse().unwrap());
        let upper = "A".repeat(64);
        for name in ["", "../../catalog.db", upper.as_str()] {
            let found = blobs.original(&KbId::first(), &DocumentId::of_name("a.md"), name).await;
            assert!(matches!(found, Err(StoreError::Conflict { .. })), "{name}: {found:?}");
        }
    }

    #[cfg(feature = "s3")]
    fn s3(endpoint: &str) -> ObjectBlobs {
        let variable = |name| match name {
            "S3_ENDPOINT" => Some(endpoint.to_owned()),
            "S3_ACCESS_KEY_ID" => Some("key-id".to_owned()),
            "S3_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
            "S3_ALLOW_HTTP" => Some("true".to_owned()),
            _ => None,
        };
        ObjectBlobs::remote(&S3Settings::read("s3://originals/eu", variable).unwrap()).unwrap()
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn originals_in_s3_are_kept_and_forgotten_like_local_ones() {
        // A TLS choice is made when the stores are opened; this test makes a client without opening them.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let blobs = s3(&s3_server::start().await);
        let (acme, twin) = (blobs.scope(&"acme".parse().unwrap()), blobs.scope(&"acme-2".parse().unwrap()));
        let (kb, document) = (KbId::first(), DocumentId::of_name("a.md"));
        let revisions: Vec<_> = (0..5)
            .map(|revision| {
                let bytes = Bytes::from(format!("revision {revision}"));
                (hex::encode(Sha256::digest(&bytes)), bytes)
            })
            .collect();
        for (sha256, bytes) in &revisions {
            acme.original_put(&kb, &document, sha256, bytes.clone()).await.unwrap();
            assert_eq!(acme.original(&kb, &document, sha256).await.unwrap().as_ref(), Some(bytes));
            assert_eq!(twin.original(&kb, &document, sha256).await.unwrap(), None);
        }
        twin.originals_forget(&kb, &document, None).await.unwrap();
        acme.originals_forget(&kb, &document, Some(&revisions[3].0)).await.unwrap();
        for (revision, (sha256, _)) in revisions.iter().enumerate() {
            let kept = acme.original(&kb, &document, sha256).await.unwrap().is_some();
            // Later ones may belong to an upload that is not registered yet.
            assert_eq!(kept, revision >= 3, "{revision}");
        }
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn an_s3_that_does_not_answer_is_a_passing_fault() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let blobs = s3("http://127.0.0.1:1").scope(&"acme".parse().unwrap());
        let sha256 = "0".repeat(64);
        let found = blobs.original(&KbId::first(), &DocumentId::of_name("a.md"), &sha256).await;
        assert!(found.unwrap_err().is_transient());
    }
}

#[cfg(test)]
mod fault_tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_kind() {
        let source = || "no".into();
        let path = || "a".to_owned();
        let local = |errno: i32| Error::Generic {
            store: "LocalFileSystem",
            source: std::io::Error::from_raw_os_error(errno).into(),
        };
        let table = [
            // ENOSPC, EDQUOT, EMFILE, EROFS
            (FaultKind::Unavailable, local(28)),
            (FaultKind::Unavailable, local(122)),
            (FaultKind::Unavailable, local(24)),
            (FaultKind::Unavailable, local(30)),
            // ENAMETOOLONG
            (FaultKind::Permanent, local(36)),
            (FaultKind::Unavailable, Error::Generic { store: "S3", source: "507".into() }),
            (FaultKind::Unavailable, Error::PermissionDenied { path: path(), source: source() }),
            (FaultKind::Unavailable, Error::Unauthenticated { path: path(), source: source() }),
            (FaultKind::Unavailable, Error::NotFound { path: path(), source: source() }),
            (FaultKind::Transient, Error::Precondition { path: path(), source: source() }),
            (FaultKind::Permanent, Error::NotSupported { source: source() }),
        ];
        for (expected, error) in table {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
