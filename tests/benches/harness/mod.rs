//! What the figures share.

pub(crate) mod bench;
pub(crate) mod conditions;
pub(crate) mod cores;
pub(crate) mod delivery;
pub(crate) mod directory;
pub(crate) mod process;
pub(crate) mod records;
pub(crate) mod redis_child;
pub(crate) mod report;
pub(crate) mod sample;
pub(crate) mod server_time;
pub(crate) mod workload;
