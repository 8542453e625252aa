//! The queue behind a running apalis worker.

mod cluster;
mod outages;
mod reserve;
mod resting;
mod running;
mod sharded;
pub(crate) mod site;
