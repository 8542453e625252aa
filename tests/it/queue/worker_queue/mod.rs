//! The queue behind a running apalis worker.

mod cluster;
mod outages;
mod running;
mod sharded;
mod site;
