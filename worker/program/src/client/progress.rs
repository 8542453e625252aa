//! A progress bar on standard error; without a terminal, a line whenever there is news.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use api_thin::program::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::plain;

/// Lines are this far apart: work has thousands of steps.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// How far some work is.
pub(super) struct Progress {
    bar: ProgressBar,
    label: String,
    plain: bool,
    /// The latest line, if it was not shown yet.
    news: Option<String>,
    said: Option<(Instant, String)>,
}

impl Progress {
    /// Begins with nothing done.
    pub(super) fn start(label: &str) -> Self {
        let label = plain(label);
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = "{prefix} {bar:32.green/black.bright} {pos}/{len} {elapsed} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(label.clone());
        Self { bar, label, plain: !is_terminal, news: None, said: None }
    }

    /// Shows how much is done of how much, and what is going on.
    pub(super) fn show(&mut self, done: usize, total: usize, message: &str) {
        let message = plain(message);
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(message.clone());
        if self.plain {
            let line = format!("{}: {done}/{total} {message}", self.label);
            self.news = self.said.as_ref().is_none_or(|(_, said)| *said != line).then_some(line);
            if self.said.as_ref().is_none_or(|(at, _)| at.elapsed() >= BETWEEN_LINES) {
                self.tell();
            }
        }
    }

    fn tell(&mut self) {
        if let Some(line) = self.news.take() {
            say(line.clone());
            self.said = Some((Instant::now(), line));
        }
    }

    /// Leaves the bar as it is.
    pub(super) fn finish(&mut self) {
        self.tell();
        self.bar.abandon();
    }
}
