//! What a mutation is.

use fair_queue::testing::LibraryPatch;

/// A change of the scripts after which they are wrong.
pub(super) struct Mutation {
    /// What happens then.
    pub(super) why: &'static str,
    pub(super) patch: LibraryPatch,
    pub(super) more: &'static [LibraryPatch],
}

impl Mutation {
    pub(super) fn patches(&self) -> Vec<LibraryPatch> {
        std::iter::once(self.patch).chain(self.more.iter().copied()).collect()
    }
}

/// One change of one file.
pub(super) const fn one(
    why: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Mutation {
    Mutation { why, patch: patch(file, find, replace), more: &[] }
}

pub(super) const fn patch(file: &'static str, find: &'static str, replace: &'static str) -> LibraryPatch {
    LibraryPatch { file, find, replace }
}
