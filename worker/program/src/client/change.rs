//! What comes before a change: what it touches is said, a question is asked, a reason is taken.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::connection::Session;
use super::failure::Failure;
use super::output::plain;

/// Flags of a command that ends or stops something.
#[derive(Debug, Clone, Args)]
pub(super) struct Change {
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Change {
    /// Asks whether to go on. `what` says what happens to how much, without a question mark.
    ///
    /// # Errors
    /// When the answer is no, or no person is there to answer.
    pub(super) fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let what = plain(what);
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "{what}? Standard input is no terminal: give --yes to say yes"
            )));
        }
        let _ = write!(io::stderr(), "{what}? [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::Failed("nothing was changed".to_owned()))
    }

    /// Asks the API for it, with the reason.
    pub(super) async fn send(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        session.api.change(method, path, body, self.reason.as_deref()).await
    }
}

/// A number of things, in words.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_with_their_noun() {
        let said = [0, 1, 2].map(|number| count(number, "job", "jobs"));
        assert_eq!(said, ["0 jobs", "1 job", "2 jobs"]);
    }
}
