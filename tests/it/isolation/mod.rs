//! Every type of job, tried on another tenant's data. Generated from the list of job types.

mod bait;
mod described;
mod foreign_ids;
mod moved_stamps;

pub(crate) use bait::flow;
pub(crate) use described::{Asker, Ids, stamped, webhook_of};
