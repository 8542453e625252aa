//! How far each tenant's documents are, live.

use std::io::IsTerminal;

use api_thin::program::say;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::client::DocumentView;
use super::report::DocumentReport;

/// One bar for each tenant, on standard error. Without a terminal, a line whenever a tenant got further.
pub(super) struct Progress {
    bars: MultiProgress,
    plain: bool,
}

/// One tenant's line.
pub(super) struct TenantBar {
    bar: ProgressBar,
    tenant: String,
    plain: bool,
    shown: Option<(u64, u64)>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let plain = !std::io::stderr().is_terminal();
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), plain }
    }

    pub(super) fn tenant(&self, tenant: &str, documents: usize) -> TenantBar {
        let bar = self.bars.add(ProgressBar::new(documents as u64));
        let style =
            ProgressStyle::with_template("{prefix:>14} {bar:32.green/black.bright} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(tenant.to_owned());
        TenantBar { bar, tenant: tenant.to_owned(), plain: self.plain, shown: None }
    }
}

impl TenantBar {
    /// Shows where the documents are.
    pub(super) fn show(&mut self, documents: &[DocumentView]) -> DocumentReport {
        let count =
            |status: &str| documents.iter().filter(|document| document.status == status).count() as u64;
        let (processed, failed) = (count("processed"), count("failed"));
        let message =
            format!("{} pending, {} processing, {failed} failed", count("pending"), count("processing"));
        self.bar.set_position(processed + failed);
        self.bar.set_message(message.clone());
        if self.plain && self.shown != Some((processed, failed)) {
            say(format!("{}: {processed}/{} processed, {message}", self.tenant, documents.len()));
        }
        self.shown = Some((processed, failed));
        DocumentReport { total: documents.len() as u64, processed, failed }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_with_message("done");
    }
}
