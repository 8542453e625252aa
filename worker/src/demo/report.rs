//! What the demo shows when it is done: a table for people, one JSON line for programs.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

/// What became of one tenant's documents.
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
    /// Jobs by state, in the Open Job Spec's words.
    pub jobs: std::collections::BTreeMap<String, u64>,
    /// Files that were not ingested, and why.
    pub left_out: Vec<(String, String)>,
    /// Documents that were taken and could not be read, and why.
    pub failed: Vec<(String, String)>,
}

/// How many documents ended how.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct DocumentReport {
    /// All of them.
    pub total: u64,
    /// In the graph.
    pub processed: u64,
    /// Not in the graph; the API says why.
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
    /// Whether it was refused.
    pub refused: bool,
}

/// The whole demo in one value.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Whether everything ended as it should.
    pub ok: bool,
    /// How long it took, from the first upload to the last document.
    pub seconds: f64,
    /// One report for each tenant.
    pub tenants: Vec<TenantReport>,
    /// The refused read.
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
