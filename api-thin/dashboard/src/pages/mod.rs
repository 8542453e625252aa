//! The pages, one file for each.

pub(crate) mod audit;
pub(crate) mod batches;
pub(crate) mod dead_letters;
pub(crate) mod document;
pub(crate) mod documents;
pub(crate) mod graph;
pub(crate) mod jobs;
pub(crate) mod kbs;
pub(crate) mod overview;
pub(crate) mod schedules;
pub(crate) mod tenant;
pub(crate) mod tenants;
pub(crate) mod usage;
pub(crate) mod workers;
