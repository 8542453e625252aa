//! Which handler runs which job type.

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use jobs::envelope::Envelope;
use jobs::queue::Lane;
use jobs::types::{
    BuildGraph, DeleteDocument, DeleteKb, DeprovisionTenant, ExtractEntities, IngestDocument,
    ProvisionTenant, ReindexKb,
};
use jobs::{Job, JobError, JobKind, JobPolicy};

use crate::context::JobContext;
use crate::handler::{Handler, Reopen, Reopened};

/// A handler at work.
type Work<'a> = BoxFuture<'a, Result<(), JobError>>;

/// What a handler does about a job that will not be done, with the code and the reason why.
pub(crate) type LastWords = for<'a> fn(&'a Envelope, &'a JobContext, &'a str, &'a str) -> Work<'a>;

/// A job that was started again being prepared.
type Reopening<'a> = BoxFuture<'a, Result<Reopened, JobError>>;

/// One job type with its handler, the type itself erased.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) policy: JobPolicy,
    pub(crate) handle: for<'a> fn(&'a Envelope, &'a JobContext) -> Work<'a>,
    pub(crate) reopen: for<'a> fn(&'a Envelope, &'a JobContext) -> Reopening<'a>,
    pub(crate) discarded: LastWords,
    pub(crate) refused: LastWords,
}

/// The job types that a worker runs. It fetches these and no others.
#[derive(Clone, Default)]
pub struct Registry {
    entries: HashMap<&'static str, Entry>,
}

impl Registry {
    /// A registry without any type.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The product's own types. A [`JobKind`] without an arm here does not compile, and an arm whose type has
    /// no [`Handler`], or no answer to what starting it again means, does not either.
    #[must_use]
    pub fn product() -> Self {
        JobKind::ALL.iter().fold(Self::empty(), |registry, kind| match kind {
            JobKind::ProvisionTenant => registry.with_product::<ProvisionTenant>(),
            JobKind::IngestDocument => registry.with_product::<IngestDocument>(),
            JobKind::ExtractEntities => registry.with_product::<ExtractEntities>(),
            JobKind::BuildGraph => registry.with_product::<BuildGraph>(),
            JobKind::ReindexKb => registry.with_product::<ReindexKb>(),
            JobKind::DeleteDocument => registry.with_product::<DeleteDocument>(),
            JobKind::DeleteKb => registry.with_product::<DeleteKb>(),
            JobKind::DeprovisionTenant => registry.with_product::<DeprovisionTenant>(),
        })
    }

    /// Adds a type, in place of one of the same name.
    #[must_use]
    pub fn with<J: Handler>(self) -> Self {
        self.with_entry::<J>(|_, _| async { Ok(Reopened::Run) }.boxed())
    }

    fn with_product<J: Reopen>(self) -> Self {
        self.with_entry::<J>(reopen::<J>)
    }

    fn with_entry<J: Handler>(
        mut self,
        reopen: for<'a> fn(&'a Envelope, &'a JobContext) -> Reopening<'a>,
    ) -> Self {
        let entry = Entry {
            policy: JobPolicy::of::<J>(),
            handle: handle::<J>,
            reopen,
            discarded: discarded::<J>,
            refused: refused::<J>,
        };
        self.entries.insert(J::TYPE, entry);
        self
    }

    /// The lanes that a worker with this registry fetches from.
    #[must_use]
    pub fn lanes(&self) -> Vec<Lane> {
        self.entries.values().map(|entry| Lane::from(&entry.policy)).collect()
    }

    /// Whether there is no type in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, kind: &str) -> Option<&Entry> {
        self.entries.get(kind)
    }

    pub(crate) fn policy(&self, kind: &str, version: u32) -> Option<JobPolicy> {
        self.entry(kind).map(|entry| entry.policy).filter(|policy| policy.version == version)
    }
}

fn handle<'a, J: Handler>(envelope: &'a Envelope, cx: &'a JobContext) -> Work<'a> {
    async move { payload::<J>(envelope)?.handle(cx).await }.boxed()
}

fn reopen<'a, J: Reopen>(envelope: &'a Envelope, cx: &'a JobContext) -> Reopening<'a> {
    async move { payload::<J>(envelope)?.reopen(cx).await }.boxed()
}

fn discarded<'a, J: Handler>(
    envelope: &'a Envelope,
    cx: &'a JobContext,
    code: &'a str,
    reason: &'a str,
) -> Work<'a> {
    async move { payload::<J>(envelope)?.discarded(cx, code, reason).await }.boxed()
}

fn refused<'a, J: Handler>(
    envelope: &'a Envelope,
    cx: &'a JobContext,
    code: &'a str,
    reason: &'a str,
) -> Work<'a> {
    async move { payload::<J>(envelope)?.refused(cx, code, reason).await }.boxed()
}

fn payload<J: Job>(envelope: &Envelope) -> Result<J, JobError> {
    let invalid =
        |error| JobError::fail("payload_invalid", format!("the payload is not a {}: {error}", J::TYPE));
    envelope.payload().map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_type_is_registered_under_its_name() {
        let registry = Registry::product();
        for kind in JobKind::ALL {
            assert_eq!(registry.policy(kind.as_str(), kind.policy().version).unwrap().kind, kind.as_str());
        }
        assert_eq!(registry.lanes().len(), JobKind::ALL.len());
        assert!(registry.policy("document.ingest", 99).is_none());
    }

    #[test]
    fn the_readme_shows_the_permission_of_every_product_type() {
        let readme = include_str!("../README.md");
        let rows = JobKind::ALL.iter().map(|kind| format!("| `{kind}` | `{}` |", kind.policy().permission));
        let table =
            format!("| job type | permission |\n|---|---|\n{}\n\n", rows.collect::<Vec<_>>().join("\n"));
        assert!(readme.contains(&table), "worker/README.md does not show this table:\n{table}");
    }
}
