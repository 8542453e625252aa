//! The socket on which only the owner of a data directory reaches its `redis-server`.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use secrecy::SecretString;
use tempfile::TempDir;

const NAME: &str = "redis.sock";
/// The longest path that every system takes for a socket.
const LONGEST_PATH: usize = 103;
const SHORT_PREFIX: &str = "tenantry-redis-";
const ANSWER: Duration = Duration::from_secs(1);
/// How long a server that was told to end may take to write everything down.
const END: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Debug)]
pub(super) struct RedisSocket {
    /// The server's own directory: absolute, without links.
    pub(super) directory: PathBuf,
    /// Below the directory, or, when that path is too long for a socket, in a short one of its own.
    pub(super) path: PathBuf,
    _short: Option<TempDir>,
}

impl RedisSocket {
    /// Makes `directory` one that only its owner may enter, ends the server that a killed run left there, and chooses a
    /// path. The caller holds the lock of the data directory, so that server can only be a leftover.
    pub(super) fn prepare(directory: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be made a directory of this user alone", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).with_context(cannot)?;
        let directory = directory.canonicalize().with_context(cannot)?;
        let usual = directory.join(NAME);
        let before = fs::read_link(&usual).unwrap_or_else(|_| usual.clone());
        end_leftover(&before, &directory)?;
        remove(&usual, &before);
        if usual.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { directory, path: usual, _short: None });
        }
        let only_owner = fs::Permissions::from_mode(0o700);
        let short = tempfile::Builder::new().prefix(SHORT_PREFIX).permissions(only_owner).tempdir();
        let short = short.context("no temporary directory for the socket of redis-server")?;
        let path = short.path().join(NAME);
        ensure!(
            path.as_os_str().len() <= LONGEST_PATH,
            "TMPDIR: {} is too long for a socket: set TMPDIR to a shorter path",
            path.display()
        );
        // Says where it is, to people and to the next start.
        symlink(&path, &usual).with_context(|| format!("cannot link {}", usual.display()))?;
        Ok(Self { directory, path, _short: Some(short) })
    }

    pub(super) fn url(&self) -> SecretString {
        let mut url = "redis+unix://".to_owned();
        for &byte in self.path.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
                url.push(byte.into());
            } else {
                let _ = write!(url, "%{byte:02X}");
            }
        }
        url.into()
    }

    /// What the server says of one command.
    pub(super) fn ask(&self, command: &str) -> Option<String> {
        ask(&self.path, command)
    }
}

/// One inline command of the Redis protocol. The client library is for the queue; this only asks "are you there?".
pub(super) fn ask(path: &Path, command: &str) -> Option<String> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream.set_write_timeout(Some(ANSWER)).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Ends the server that listens on `socket`, if it is the one of `directory`: two servers on one directory would
/// destroy
/// each other's files.
pub(super) fn end_leftover(socket: &Path, directory: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    while UnixStream::connect(socket).is_ok() {
        let answer = ask(socket, "CONFIG GET dir").unwrap_or_default();
        let own = answer.lines().any(|line| Path::new(line.trim()) == directory);
        // A server that loads or is about to end says other things.
        ensure!(
            own || !answer.starts_with('*'),
            "{} is the socket of another server: remove it",
            socket.display()
        );
        if own {
            ask(socket, "SHUTDOWN");
        }
        if start.elapsed() > END {
            bail!(
                "the redis-server of an earlier run still uses {} and does not end: end it yourself",
                directory.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Removes what an earlier run left, as far as it is ours.
fn remove(usual: &Path, before: &Path) {
    let _ = fs::remove_file(usual);
    let short = before.parent().filter(|_| before != usual);
    let named = |short: &&Path| {
        short.file_name().is_some_and(|name| name.as_bytes().starts_with(SHORT_PREFIX.as_bytes()))
    };
    if let Some(short) = short.filter(named) {
        let _ = fs::remove_file(before);
        let _ = fs::remove_dir(short);
    }
}

#[cfg(test)]
mod tests {
    use jobs::queue::RedisAddress;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_socket_is_below_a_directory_that_only_its_owner_enters() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("a, b%c/redis");
        fs::create_dir_all(&directory).unwrap();
        let socket = RedisSocket::prepare(&directory).unwrap();
        assert_eq!(socket.path, directory.canonicalize().unwrap().join("redis.sock"));
        assert_eq!(mode(&directory), 0o700);
        assert!(socket.url().expose_secret().ends_with("/a%2C%20b%25c/redis/redis.sock"));
        let address = RedisAddress::parse(&socket.url()).unwrap();
        assert!(address.nodes()[0].addr().to_string().ends_with("/a, b%c/redis/redis.sock"));
    }

    #[test]
    fn a_path_that_is_too_long_is_replaced_and_linked_to() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("d".repeat(100)).join("redis");
        let first = RedisSocket::prepare(&directory).unwrap();
        assert!(first.path.as_os_str().len() <= LONGEST_PATH);
        assert_eq!(mode(first.path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_link(directory.join("redis.sock")).unwrap(), first.path);
        // As if the process had been killed: the temporary directory is still there.
        let second = RedisSocket::prepare(&directory).unwrap();
        assert_ne!(second.path, first.path);
        assert!(!first.path.parent().unwrap().exists(), "the next start removes it");
    }
}
