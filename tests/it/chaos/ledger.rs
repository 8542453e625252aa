//! What worker processes write down of what they do, line by line, so that a process that is killed has said all that
//! it did before.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jobs::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The worker takes jobs from now on.
    Ready,
    /// A handler begins. `at_ms` is in milliseconds of the machine's real time, whatever the worker's clock says.
    Attempt { job: String, kind: String, tenant: String, attempt: u32, at_ms: i64 },
    /// The job that runs is about to make call number `number` of a store.
    Call { number: usize, operation: String },
    /// The process is about to be killed or stopped before that call.
    Reached { number: usize, operation: String },
    /// The job has left the worker, whatever became of it.
    Ended { job: String, is_ok: bool, at_ms: i64 },
}

/// Where a process writes.
pub(super) struct Ledger(Mutex<File>);

impl Ledger {
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self(Mutex::new(file.expect("the ledger can be written")))
    }

    pub(super) fn note(&self, entry: &Entry) {
        let line = serde_json::to_string(entry).expect("an entry is JSON") + "\n";
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(line.as_bytes()).expect("the ledger can be written");
    }
}

/// The real time, in milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemClock.now().timestamp_millis()
}

/// What the processes of a test have written.
#[derive(Debug)]
pub(super) struct Ledgers(PathBuf);

impl Ledgers {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The ledger of the process called `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.ledger"))
    }

    /// What the process called `name` has written so far.
    pub(super) fn of(&self, name: &str) -> Vec<Entry> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        // The last line may be half written.
        text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What all processes have written, process by process.
    pub(super) fn all(&self) -> Vec<Vec<Entry>> {
        let files = std::fs::read_dir(&self.0).expect("the directory of the ledgers").filter_map(Result::ok);
        let names = files.filter_map(|file| {
            let path = file.path();
            let is_ledger = path.extension().is_some_and(|extension| extension == "ledger");
            is_ledger.then(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        });
        names.map(|name| self.of(&name)).collect()
    }
}
