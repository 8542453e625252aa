use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::config::InvalidStores;
use crate::data_dir;

/// Originals in `blobs/` of the data directory, which nobody else may enter.
///
/// # Errors
/// When the directory cannot be made.
pub(super) fn directory(data: &Path) -> Result<Arc<dyn ObjectStore>, InvalidStores> {
    let blobs = data_dir::private_dir(&data.join("blobs"))?;
    let store = LocalFileSystem::new_with_prefix(&blobs)
        .map_err(|error| data_dir::unusable(&blobs, &std::io::Error::other(jobs::error::root(&error))))?;
    // The catalog promises an original before anyone may forget it, so it has to outlive a power cut.
    // And nothing is to be left of it in names of directories.
    Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
}
