//! The data directory: readable to its owner only.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::InvalidStores;

const SETTING: &str = "TENANTRY_DATA_DIR";

/// Makes `path` a directory that only its owner may enter. One that exists stays as it is: it may hold other
/// things too.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn ensure(path: &Path) -> Result<(), InvalidStores> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| unusable(path, error))
}

/// Makes `path`, a directory of ours alone, one that only its owner may enter, whatever it was before.
///
/// # Errors
/// When it cannot be made, or belongs to someone else.
pub(crate) fn private_dir(path: &Path) -> Result<PathBuf, InvalidStores> {
    ensure(path)?;
    let closed = fs::set_permissions(path, Permissions::from_mode(0o700));
    closed.map_err(|error| unusable(path, error))?;
    Ok(path.to_owned())
}

/// Makes `path` a file that only its owner may read, unless it exists. Files that `SQLite` puts beside it get
/// its mode.
pub(crate) fn private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// A part of the data directory that cannot be used.
pub(crate) fn unusable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> InvalidStores {
    let hint = format!("{} cannot be used; make it a directory that this user may write to", path.display());
    InvalidStores::Unreachable { setting: SETTING, hint, source: source.into() }
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
