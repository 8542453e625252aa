//! `tenantry` as people and scripts run it against a running API.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::command;

/// The program with a URL and a key in its environment, and a home of its own.
pub struct Cli {
    home: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts that it succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it failed with a code, says `words` on standard error, and prints nothing.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word}: {self:?}");
        }
    }
}

impl Cli {
    /// With `TENANTRY_URL` and `TENANTRY_KEY`.
    #[must_use]
    pub fn new(url: &str, key: &str) -> Self {
        let bare = Self::bare();
        Self { settings: vec![("TENANTRY_URL", url.to_owned()), ("TENANTRY_KEY", key.to_owned())], ..bare }
    }

    /// Without URL and key.
    ///
    /// # Panics
    /// When there can be no temporary directory.
    #[must_use]
    pub fn bare() -> Self {
        Self { home: tempfile::tempdir().expect("a temporary directory"), settings: Vec::new() }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program, not started yet.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = command("tenantry");
        self.equip(&mut command);
        command
    }

    /// Gives a command the home and the settings.
    pub fn equip(&self, command: &mut Command) {
        command.env_remove("XDG_CONFIG_HOME").env("HOME", self.home.path());
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
    }

    /// Runs it to its end. The API may be in this process, so this does not block the runtime.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        ran(command, None).await
    }

    /// The same with something on standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        ran(command, Some(input.to_owned())).await
    }

    /// Runs it with `--output json` and returns what it prints.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).await.done().json()
    }
}

/// Runs a command to its end without blocking the runtime.
///
/// # Panics
/// When it does not start.
pub async fn ran(mut command: Command, input: Option<String>) -> Ran {
    let work = tokio::task::spawn_blocking(move || {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // A program that ends without reading it has no use for it.
            let written = stdin.write_all(input.as_bytes());
            assert!(
                written.as_ref().map_or_else(|error| error.kind() == ErrorKind::BrokenPipe, |()| true),
                "{written:?}"
            );
        }
        child.wait_with_output().expect("the program ends")
    });
    Ran::of(work.await.expect("waiting does not panic"))
}
