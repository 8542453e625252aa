//! Who exists and who may do what: the one reader across tenants.
//!
//! What the rows mean and how long an answer is kept is decided here, once. Whoever changes a row that the directory answers from says so through [`DirectoryNews`], so
//! that every process forgets.

mod answers;
mod cached;
mod news;
mod permissions;
mod slugs;
mod subscriber;

pub(crate) use answers::Answers;
pub(crate) use cached::CachedDirectory;
pub(crate) use news::DirectoryNews;
pub(crate) use slugs::Slugs;
