//! What the demo shows when it is done: a table for people, one JSON line for programs.

use std::io::IsTerminal;

use api_thin::program::say;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::client::DocumentView;

/// The result of one tenant's documents.
#[derive(Debug, Clone, Serialize)]
pub struct TenantReport {
    /// The tenant.
    pub tenant: String,
    /// Documents by status.
    pub documents: DocumentReport,
    /// What is in the index.
    pub chunks: u64,
    /// Nodes of the graph.
    pub entities: u64,
    /// Edges of the graph.
    pub relations: u64,
    /// Number of jobs by state, in the Open Job Spec's words.
    pub jobs: std::collections::BTreeMap<String, u64>,
    /// Files that were not uploaded, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// Documents that were uploaded and could not be ingested, each with the reason.
    pub failed: Vec<(String, String)>,
}

/// Number of documents by outcome.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct DocumentReport {
    /// All documents.
    pub total: u64,
    /// In the graph.
    pub processed: u64,
    /// Failed; the API says why.
    pub failed: u64,
}

/// What happened when one tenant's key was used on the other tenant's graph.
#[derive(Debug, Clone, Serialize)]
pub struct CrossTenantRead {
    /// The request.
    pub request: String,
    /// The answer's status; 403 is right.
    pub status: u16,
    /// The answer's code.
    pub code: String,
    /// Whether the read was rejected, as it must be.
    pub refused: bool,
}

/// Everything that the demo found out.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Whether everything ended as expected.
    pub ok: bool,
    /// Duration in seconds, from the first upload to the last document.
    pub seconds: f64,
    /// One report for each tenant.
    pub tenants: Vec<TenantReport>,
    /// The attempted read across tenants.
    pub cross_tenant_read: CrossTenantRead,
}

impl Summary {
    /// A table with a row for each tenant, and the files that were left out.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["tenant", "documents", "failed", "chunks", "entities", "relations", "jobs"]);
        for report in &self.tenants {
            let jobs: Vec<_> = report.jobs.iter().filter(|(_, count)| **count > 0).collect();
            let jobs: Vec<_> = jobs.iter().map(|(state, count)| format!("{count} {state}")).collect();
            let numbers = [
                format!("{}/{}", report.documents.processed, report.documents.total),
                report.documents.failed.to_string(),
                report.chunks.to_string(),
                report.entities.to_string(),
                report.relations.to_string(),
            ];
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let row = std::iter::once(Cell::new(&report.tenant)).chain(numbers.map(right));
            table.add_row(row.chain([Cell::new(jobs.join(", "))]));
        }
        table.to_string()
    }
}

/// One progress bar for each tenant, on standard error. Without a terminal, a line whenever a tenant has
/// progressed.
pub(super) struct Progress {
    bars: MultiProgress,
    plain: bool,
}

/// Progress of one tenant.
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
    /// Updates the bar from the status of the documents.
    pub(super) fn show(&mut self, documents: &[DocumentView]) -> DocumentReport {
        let count =
            |status: &str| documents.iter().filter(|document| document.status == status).count() as u64;
        let (processed, failed) = (count("processed") + count("partial"), count("failed"));
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
