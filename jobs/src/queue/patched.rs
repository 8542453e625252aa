//! A queue whose scripts are wrong on purpose, for tests that have to notice it.

use super::client::Queue;
use super::config::QueueConfig;
use super::error::QueueError;
use super::library::{Library, LibraryPatch};

impl Queue {
    /// Connects a queue with a changed library. Every change makes a library of another name, so others on the
    /// same Redis are not affected.
    ///
    /// # Errors
    /// As for [`Queue::connect`].
    ///
    /// # Panics
    /// When a change does not fit the text any more.
    #[expect(clippy::panic, reason = "a test that does not fit its subject any more has to fail")]
    pub async fn connect_patched(config: QueueConfig, patches: &[LibraryPatch]) -> Result<Self, QueueError> {
        Self::connect_with(config, |shards| match Library::patched(shards, patches) {
            Ok(library) => library,
            Err(misfit) => panic!("{misfit}"),
        })
        .await
    }

    /// Which of the changes does not fit the text any more.
    #[must_use]
    pub fn library_misfit(patches: &[LibraryPatch]) -> Option<String> {
        Library::patched(1, patches).err()
    }

    /// The files that the library is made of, without their endings.
    #[must_use]
    pub fn library_files() -> Vec<&'static str> {
        Library::files().collect()
    }
}
