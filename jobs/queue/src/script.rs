//! The queue's operations: one Redis FUNCTION library, assembled from `lua/*.lua`.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

#[cfg(feature = "test-support")]
use crate::{config::QueueConfig, error::QueueError, queue::Queue};

/// What every operation builds on: which partition may be served, and where a job is.
const SHARED: &[(&str, &str)] = &[
    ("00_tenants", include_str!("lua/00_tenants.lua")),
    ("01_jobs", include_str!("lua/01_jobs.lua")),
    ("02_groups", include_str!("lua/02_groups.lua")),
    ("03_enqueue", include_str!("lua/03_enqueue.lua")),
    ("04_limits", include_str!("lua/04_limits.lua")),
    ("05_lost", include_str!("lua/05_lost.lua")),
    ("06_turns", include_str!("lua/06_turns.lua")),
];

macro_rules! operations {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// One operation; each is atomic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation { $($variant),+ }

        const SOURCES: &[(&str, &str)] = &[$(($name, include_str!(concat!("lua/", $name, ".lua")))),+];
    };
}

operations! {
    Enqueue = "enqueue",
    Admit = "admit",
    Room = "room",
    Fetch = "fetch",
    Newcomers = "newcomers",
    Finish = "finish",
    Renew = "renew",
    Reap = "reap",
    Heal = "heal",
    Sweep = "sweep",
    Cancel = "cancel",
    CancelGroup = "cancel_group",
    CancelTenant = "cancel_tenant",
    Redrive = "redrive",
    Purge = "purge",
    Reschedule = "reschedule",
    Tenant = "tenant",
    Queue = "queue",
    Heartbeat = "heartbeat",
    Lookup = "lookup",
    Holder = "holder",
    Explain = "explain",
    Stats = "stats",
    Overview = "overview",
    List = "list",
    Places = "places",
    Skills = "skills",
    Census = "census",
    Skill = "skill",
    Adopt = "adopt",
    Lost = "lost",
    Mend = "mend",
}

/// Functions that work on the shard's current keys and must go on while partitions are moved. All others first compare
/// the number of shards, because a partition's keys are in another shard under another number.
const IN_ANY_LAYOUT: &[&str] =
    &["finish", "renew", "reap", "heal", "sweep", "heartbeat", "skills", "skill", "adopt"];

/// The library's text, and the names under which Redis knows its functions. Every name carries a hash of the
/// text, so that two versions can serve side by side while a deployment rolls.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) text: String,
    names: Vec<String>,
}

impl Library {
    pub(super) fn name(&self, operation: Operation) -> &str {
        &self.names[operation as usize]
    }

    /// The library of a queue with that many shards.
    pub(super) fn for_shards(shards: u16) -> Self {
        Self::assemble(shards, SHARED, SOURCES)
    }

    fn assemble(shards: u16, shared: &[(&str, &str)], sources: &[(&str, &str)]) -> Self {
        let shards = format!("local SHARDS = '{shards}'\n");
        let mut digest = Sha256::new();
        digest.update(&shards);
        for (name, source) in shared.iter().chain(sources) {
            digest.update(name);
            digest.update(source);
        }
        let tag = format!("tenantry_{}", &hex::encode(digest.finalize())[..10]);
        let shared: Vec<_> = shared.iter().map(|(_, source)| *source).collect();
        let mut text = format!("#!lua name={tag}\n{shards}{}\n", shared.join("\n"));
        let mut names = Vec::with_capacity(sources.len());
        for (operation, source) in sources {
            let name = format!("{tag}_{operation}");
            let flag = source.strip_prefix("-- flag ").and_then(|rest| rest.split('.').next());
            let layout = match flag {
                _ if IN_ANY_LAYOUT.contains(operation) => "",
                Some("no-writes") => "local other = other_layout(false)\nif other then return other end",
                _ => "local other = other_layout(true)\nif other then return other end",
            };
            let flags = flag.map_or_else(String::new, |flag| format!("'{flag}'"));
            let written = writeln!(
                text,
                "redis.register_function{{function_name = '{name}', flags = {{{flags}}}, \
                 callback = function(keys, args)\ninit(keys, args)\n{layout}\n{source}\nend}}"
            );
            written.expect("writing to a string cannot fail");
            names.push(name);
        }
        Self { text, names }
    }
}

/// A change of the library's text, for tests that have to notice it.
#[cfg(feature = "test-support")]
#[derive(Debug, Clone, Copy)]
pub struct LibraryPatch {
    /// The name of the file, without its extension.
    pub file: &'static str,
    /// The text to replace; it must occur exactly once.
    pub find: &'static str,
    /// The replacement.
    pub replace: &'static str,
}

#[cfg(feature = "test-support")]
impl Library {
    /// The names of the library's files, without their endings.
    pub(super) fn files() -> impl Iterator<Item = &'static str> {
        SHARED.iter().chain(SOURCES).map(|(name, _)| *name)
    }

    /// The library with changes; an error says which one does not fit the text.
    pub(super) fn patched(shards: u16, patches: &[LibraryPatch]) -> Result<Self, String> {
        for LibraryPatch { file, find, .. } in patches {
            let source = SHARED.iter().chain(SOURCES).find(|(name, _)| name == file);
            let found = source.map_or(0, |(_, source)| source.matches(find).count());
            if found != 1 {
                return Err(format!("{file}.lua has {find:?} {found} times, not once"));
            }
        }
        let patched = |files: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
            files.iter().map(|&(name, source)| (name, patched_file(name, source, patches))).collect()
        };
        Ok(Self::assemble(shards, &borrowed(&patched(SHARED)), &borrowed(&patched(SOURCES))))
    }
}

#[cfg(feature = "test-support")]
fn patched_file(name: &str, source: &str, patches: &[LibraryPatch]) -> String {
    let of_file = patches.iter().filter(|patch| patch.file == name);
    of_file.fold(source.to_owned(), |source, patch| source.replace(patch.find, patch.replace))
}

#[cfg(feature = "test-support")]
fn borrowed<'a>(files: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    files.iter().map(|(name, source)| (*name, source.as_str())).collect()
}

/// A queue with scripts that are wrong on purpose, for mutation tests that have to detect it.
#[cfg(feature = "test-support")]
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

#[cfg(test)]
mod tests {
    use super::*;

    static LIBRARY: std::sync::LazyLock<Library> = std::sync::LazyLock::new(|| Library::for_shards(4));

    #[test]
    fn every_function_carries_the_hash_of_the_text() {
        let tag = LIBRARY.name(Operation::Enqueue).strip_suffix("_enqueue").unwrap();
        assert!(LIBRARY.text.starts_with(&format!("#!lua name={tag}\n")));
        assert_eq!(LIBRARY.name(Operation::Lookup), format!("{tag}_lookup"));
        assert_eq!(LIBRARY.text.matches("flags = {'no-writes'}").count(), 11);
        assert_eq!(LIBRARY.text.matches("flags = {'allow-oom'}").count(), 10);
    }
}
