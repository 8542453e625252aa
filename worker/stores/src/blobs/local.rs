use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, io};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::config::InvalidStores;
use crate::data_dir;

/// Directory of the originals below the data directory.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("blobs")
}

/// Originals in `blobs/` of the data directory, accessible to its owner only.
///
/// # Errors
/// When the directory cannot be made.
pub(super) fn directory(data: &Path) -> Result<Arc<dyn ObjectStore>, InvalidStores> {
    let blobs = data_dir::private_dir(&folder(data))?;
    let store = LocalFileSystem::new_with_prefix(&blobs)
        .map_err(|error| data_dir::unusable(&blobs, &std::io::Error::other(jobs::error::root(&error))))?;
    // fsync, because the catalog promises an original once the upload is accepted, so it has to survive a power
    // failure. Automatic cleanup, so that no empty directories keep ids of deleted data.
    Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
}

/// Removes the files below `folder` that interrupted writes left, all or those that did not change since `before`.
/// Their names end in `#` and a number, and the object store does not list them. Returns how many there were.
pub(super) fn interrupted_remove(folder: &Path, before: Option<SystemTime>) -> io::Result<u64> {
    let (mut removed, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(found) = gone_is_none(entry.metadata())? else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            } else if is_interrupted(&entry.file_name().to_string_lossy())
                && before.is_none_or(|before| found.modified().is_ok_and(|at| at <= before))
                && gone_is_none(fs::remove_file(entry.path()))?.is_some()
            {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn is_interrupted(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_write_left_goes_when_it_is_old() {
        let data = tempfile::tempdir().unwrap();
        let document = data.path().join("acme/default/doc");
        fs::create_dir_all(&document).unwrap();
        for name in ["abc", "abc#1", "abc#17", "abc#", "a#b"] {
            fs::write(document.join(name), name).unwrap();
        }
        assert_eq!(interrupted_remove(data.path(), Some(SystemTime::UNIX_EPOCH)).unwrap(), 0);
        assert_eq!(interrupted_remove(data.path(), None).unwrap(), 2);
        assert!(["abc", "abc#", "a#b"].iter().all(|name| document.join(name).exists()));
        assert_eq!(interrupted_remove(&data.path().join("nowhere"), None).unwrap(), 0);
    }
}
