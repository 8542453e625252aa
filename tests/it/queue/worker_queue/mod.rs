//! The queue behind a running apalis worker.

mod outages;
mod running;
mod sharded;
mod site;
