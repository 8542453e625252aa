//! The data directory: readable to its owner only.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::InvalidStores;

pub(crate) const SETTING: &str = "TENANTRY_DATA_DIR";

/// Makes `path` a directory that only its owner may enter. One that exists stays as it is: it may hold other
/// things too.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn ensure(path: &Path) -> Result<(), InvalidStores> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| unusable(path, &error))
}

/// Makes `path`, a directory of ours alone, one that only its owner may enter, whatever it was before.
///
/// # Errors
/// When it cannot be made, or belongs to someone else.
pub(crate) fn private_dir(path: &Path) -> Result<PathBuf, InvalidStores> {
    ensure(path)?;
    let closed = fs::set_permissions(path, Permissions::from_mode(0o700));
    closed.map_err(|error| unusable(path, &error))?;
    Ok(path.to_owned())
}

/// Makes `path` a file that only its owner may read, unless it exists. Files that `SQLite` puts beside it get
/// its mode.
pub(crate) fn private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// A part of the data directory that cannot be used.
pub(crate) fn unusable(path: &Path, error: &io::Error) -> InvalidStores {
    let fix = match error.kind() {
        ErrorKind::AlreadyExists => "is a file: name a directory".to_owned(),
        ErrorKind::NotADirectory => "lies below a file: name a directory".to_owned(),
        ErrorKind::PermissionDenied => {
            "may not be written by this user: change its owner, or choose another directory".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => {
            "lies on a file system that is read-only: choose another directory".to_owned()
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "lies on a disk that is full: make room".to_owned()
        }
        _ => {
            let cause = jobs::error::plain_io(error);
            format!("cannot be used ({cause}): choose a directory that this user may write to")
        }
    };
    InvalidStores::Unreachable { setting: SETTING, problem: format!("{} {fix}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_look() {
        let base = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = private_dir(&base.path().join("a/b")).unwrap();
        assert_eq!(mode(&base.path().join("a")), 0o700);
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        ensure(&dir).unwrap();
        assert_eq!(mode(&dir), 0o755);
        assert_eq!(mode(&private_dir(&dir).unwrap()), 0o700);
        private_file(&dir.join("f")).unwrap();
        private_file(&dir.join("f")).unwrap();
        assert_eq!(mode(&dir.join("f")), 0o600);
    }
}
