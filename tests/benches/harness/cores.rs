//! Which program runs on which core, as far as there are several and `taskset` is installed.

use std::process::{Command, Stdio};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Core 0, which only Redis uses.
    Redis,
    /// Core 1: one worker, one producer, or one peer.
    Worker,
    /// Every core but Redis' own when there are at least three, else wherever the kernel likes.
    Anywhere,
}

#[derive(Debug, Clone)]
pub(crate) struct Cores {
    pub(crate) count: usize,
    pub(crate) pinned: bool,
}

impl Cores {
    pub(crate) fn find() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let taskset =
            Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        Self { count, pinned: count > 1 && taskset.is_ok_and(|status| status.success()) }
    }

    /// `program` as a command that runs at `place`.
    pub(crate) fn command(&self, place: Place, program: &str) -> Command {
        let mut words = self.wrapper(place);
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// What stands before a command that runs at `place`.
    pub(crate) fn wrapper(&self, place: Place) -> Vec<String> {
        let list = match place {
            _ if !self.pinned => return Vec::new(),
            Place::Redis => "0".to_owned(),
            Place::Worker => "1".to_owned(),
            Place::Anywhere if self.count > 2 => format!("1-{}", self.count - 1),
            Place::Anywhere => return Vec::new(),
        };
        vec!["taskset".to_owned(), "-c".to_owned(), list]
    }

    pub(crate) fn describe(&self) -> &'static str {
        if self.pinned { "redis on core 0, worker, producer and peers on core 1" } else { "none" }
    }
}
