/// What became of a tenant's wish to be called by another word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlugChange {
    /// It is called so now.
    Changed {
        /// What it was called before.
        before: String,
    },
    /// Another tenant is called so, or has it for an id. Nothing changed.
    Taken,
    /// There is no such tenant any more.
    Gone,
}
