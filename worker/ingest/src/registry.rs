//! The product's job types, each with its handler.

use jobs::JobKind;
use jobs::types::{
    BuildGraph, DeleteDocument, DeleteDocuments, DeleteKb, DeliverWebhook, DeprovisionTenant,
    ExtractEntities, IngestDocument, ProvisionTenant, ReindexKb,
};
use jobs::webhook::TargetRules;
use worker::{Registry, WorkerBuilder};

use crate::tools::{ExtractionSettings, Tools};
use crate::webhooks::Egress;

/// Owner of the handlers in this crate. Their job types are in crate `jobs`, because the API enqueues them too.
#[derive(Debug)]
pub enum Product {}

/// The product's job types. A [`JobKind`] without an arm here does not compile, nor does an arm whose type has no
/// [`worker::Handler`] or no [`worker::Reopen`].
#[must_use]
pub fn registry() -> Registry {
    registry_of(JobKind::ALL)
}

/// Those of the product's job types, for a worker that runs no others.
#[must_use]
pub fn registry_of<'a>(kinds: impl IntoIterator<Item = &'a JobKind>) -> Registry {
    kinds.into_iter().fold(Registry::empty(), |registry, kind| match kind {
        JobKind::ProvisionTenant => registry.with_reopen::<ProvisionTenant, Product>(),
        JobKind::IngestDocument => registry.with_reopen::<IngestDocument, Product>(),
        JobKind::ExtractEntities => registry.with_reopen::<ExtractEntities, Product>(),
        JobKind::BuildGraph => registry.with_reopen::<BuildGraph, Product>(),
        JobKind::ReindexKb => registry.with_reopen::<ReindexKb, Product>(),
        JobKind::DeleteDocument => registry.with_reopen::<DeleteDocument, Product>(),
        JobKind::DeleteDocuments => registry.with_reopen::<DeleteDocuments, Product>(),
        JobKind::DeleteKb => registry.with_reopen::<DeleteKb, Product>(),
        JobKind::DeprovisionTenant => registry.with_reopen::<DeprovisionTenant, Product>(),
        JobKind::DeliverWebhook => registry.with_reopen::<DeliverWebhook, Product>(),
    })
}

/// Gives a worker the product's job types, in place of those registered so far, and what their handlers need: the
/// [`Tools`], and an [`Egress`] under the usual rules, which another one given to the worker afterwards replaces.
///
/// # Errors
/// When the settings of the language model contradict each other, or there is no HTTPS client.
pub fn equip(worker: WorkerBuilder, extraction: &ExtractionSettings) -> anyhow::Result<WorkerBuilder> {
    let egress = Egress::new(TargetRules::default())?;
    Ok(worker.registry(registry()).state(Tools::new(extraction)?).state(egress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_type_is_registered_under_its_name() {
        let registry = registry();
        for kind in JobKind::ALL {
            assert_eq!(registry.policy(kind.as_str(), kind.policy().version).unwrap().kind, kind.as_str());
        }
        assert_eq!(registry.skills().len(), JobKind::ALL.len());
        assert!(registry.policy("document.ingest", 99).is_none());
    }

    #[test]
    fn the_readme_shows_the_permission_of_every_product_type() {
        let readme = include_str!("../README.md");
        let rows = JobKind::ALL.iter().map(|kind| format!("| `{kind}` | `{}` |", kind.policy().permission));
        let table =
            format!("| job type | permission |\n|---|---|\n{}\n\n", rows.collect::<Vec<_>>().join("\n"));
        assert!(readme.contains(&table), "worker/ingest/README.md does not show this table:\n{table}");
    }
}
