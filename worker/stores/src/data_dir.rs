//! The data directory: accessible to its owner only, and locked by the programs that use it.
//!
//! A program with its own Redis must use its directory exclusively: if two programs with two queues shared a
//! catalog, jobs would be lost. Programs that share a Redis may share the directory too.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::InvalidStores;

pub(crate) const SETTING: &str = "TENANTRY_DATA_DIR";

/// Creates the directory `path`, accessible to its owner only. An existing one keeps its mode, because it may hold
/// other files too.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn ensure(path: &Path) -> Result<(), InvalidStores> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| unusable(path, &error))
}

/// Makes `path` a directory that is accessible to its owner only, whatever its mode was.
///
/// # Errors
/// When it cannot be made, or belongs to another user.
pub(crate) fn private_dir(path: &Path) -> Result<PathBuf, InvalidStores> {
    ensure(path)?;
    let closed = fs::set_permissions(path, Permissions::from_mode(0o700));
    closed.map_err(|error| unusable(path, &error))?;
    Ok(path.to_owned())
}

/// Creates the file `path`, readable to its owner only, unless it exists. Files that `SQLite` puts beside it get
/// the same mode.
pub(crate) fn private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// The error for a part of the data directory that cannot be used.
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

/// The lock file. No other file of the data directory has this name.
const FILE: &str = "lock";

/// A program that uses a data directory, as named in the error of the next one.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The program, such as `tenantry dev`.
    pub program: &'a str,
    /// When it started.
    pub since: DateTime<Utc>,
}

/// The lock of a data directory. Released when this value is dropped, and by the system when the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Locks the directory exclusively, and creates it if needed.
    ///
    /// # Errors
    /// When another program uses it, which the error names, or when this user cannot write to it.
    pub fn alone(directory: &Path, holder: Holder<'_>) -> Result<Self, InvalidStores> {
        Self::take(directory, holder, File::try_lock)
    }

    /// Locks the directory together with other programs that share a Redis, and creates it if needed.
    ///
    /// # Errors
    /// When a program holds it exclusively, which the error names, or when this user cannot write to it.
    pub fn shared(directory: &Path, holder: Holder<'_>) -> Result<Self, InvalidStores> {
        Self::take(directory, holder, File::try_lock_shared)
    }

    fn take(
        directory: &Path,
        holder: Holder<'_>,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, InvalidStores> {
        ensure(directory)?;
        let path = directory.join(FILE);
        let unusable = |error: io::Error| unusable(&path, &error);
        let options = OpenOptions::new().read(true).write(true).create(true).mode(0o600).clone();
        let mut file = options.open(&path).map_err(unusable)?;
        match lock(&file) {
            Ok(()) => {
                write(&mut file, holder).map_err(unusable)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(InvalidStores::Setting {
                setting: SETTING,
                problem: format!(
                    "{} uses {}: stop it, or choose another directory with --data-dir",
                    read(&mut file),
                    directory.display()
                ),
            }),
            Err(TryLockError::Error(error)) => Err(InvalidStores::Setting {
                setting: SETTING,
                problem: format!(
                    "{} cannot be locked ({}): choose a directory on a local disk",
                    path.display(),
                    jobs::error::plain_io(&error)
                ),
            }),
        }
    }
}

fn write(file: &mut File, holder: Holder<'_>) -> io::Result<()> {
    let since = holder.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "`{}` (process {}, since {since})", holder.program, std::process::id())
}

/// The holder, as written by itself; empty if it has not done so yet.
fn read(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(1_000).read_to_string(&mut text));
    if read.is_ok() && !text.is_empty() { format!("another {text}") } else { "another program".to_owned() }
}

#[cfg(test)]
mod data_dir_tests {
    use super::*;

    #[test]
    fn no_other_user_may_look() {
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

#[cfg(test)]
mod data_dir_lock_tests {
    use super::*;

    fn holder(program: &str) -> Holder<'_> {
        Holder { program, since: DateTime::from_timestamp(1_700_000_000, 0).unwrap() }
    }

    #[test]
    fn one_program_is_alone_and_the_next_is_told_who_is_there() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("data");
        let first = DataDirLock::alone(&directory, holder("tenantry dev")).unwrap();
        let expected = format!(
            "TENANTRY_DATA_DIR: another `tenantry dev` (process {}, since 2023-11-14T22:13:20Z) uses {}: stop it, or \
             choose another directory with --data-dir",
            std::process::id(),
            directory.display()
        );
        for second in [
            DataDirLock::alone(&directory, holder("tenantry demo")),
            DataDirLock::shared(&directory, holder("api-thin")),
        ] {
            assert_eq!(second.unwrap_err().to_string(), expected);
        }
        drop(first);
        let some = [(); 2].map(|()| DataDirLock::shared(&directory, holder("tenantry worker")).unwrap());
        let alone = DataDirLock::alone(&directory, holder("tenantry dev")).unwrap_err().to_string();
        assert!(alone.contains("another `tenantry worker` (process "), "{alone}");
        drop(some);
        DataDirLock::alone(&directory, holder("tenantry dev")).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_said_to_be_none() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDirLock::alone(&file, holder("tenantry dev")).unwrap_err().to_string();
        let expected = format!("TENANTRY_DATA_DIR: {} is a file: name a directory", file.display());
        assert_eq!(error, expected);
    }
}
