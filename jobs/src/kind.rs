//! The product's own job types, in one list.

use std::fmt;

use crate::job::{Job, JobPolicy};
use crate::types::{
    BuildGraph, DeleteDocument, DeleteDocuments, DeleteKb, DeliverWebhook, DeprovisionTenant,
    ExtractEntities, IngestDocument, ProvisionTenant, ReindexKb,
};

macro_rules! kinds {
    ($($variant:ident => $job:ty),+ $(,)?) => {
        /// One of the product's own job types.
        ///
        /// Matching on it without a `_` arm is how the worker proves, at compile time, that each has a
        /// handler.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum JobKind {
            $(#[doc = concat!("[`", stringify!($job), "`]")] $variant),+
        }

        impl JobKind {
            /// Every job type of the product.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The policy of this type.
            #[must_use]
            pub const fn policy(self) -> JobPolicy {
                match self { $(Self::$variant => JobPolicy::of::<$job>()),+ }
            }

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => <$job as Job>::TYPE),+ }
            }
        }
    };
}

kinds! {
    ProvisionTenant => ProvisionTenant,
    IngestDocument => IngestDocument,
    ExtractEntities => ExtractEntities,
    BuildGraph => BuildGraph,
    ReindexKb => ReindexKb,
    DeleteDocument => DeleteDocument,
    DeleteDocuments => DeleteDocuments,
    DeleteKb => DeleteKb,
    DeprovisionTenant => DeprovisionTenant,
    DeliverWebhook => DeliverWebhook,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_timeouts_finite() {
        let names: HashSet<_> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), JobKind::ALL.len());
        for kind in JobKind::ALL {
            let policy = kind.policy();
            assert!(policy.max_attempts >= 1, "{kind}");
            assert!((1..=3600).contains(&policy.timeout.as_secs()), "{kind}");
        }
    }
}
