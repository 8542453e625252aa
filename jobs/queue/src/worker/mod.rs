//! The queue as a source of tasks for an apalis worker.
//!
//! apalis calls a backend only when it has nothing better to do, never during a drain, and ends the worker at
//! the first error. So nothing that must happen in time happens there: feeder, finisher, renewer, watchdog,
//! reaper and heartbeat are tasks of their own, which outlive any absence of Redis;
//! [`JobBackend`](crate::JobBackend) merely empties a buffer.

pub(crate) mod claims;
mod feeder;
mod finisher;
mod leases;
mod shard_order;
mod watchers;
pub(crate) mod worker_queue;

pub use shard_order::{NextShard, ShardOrder};
pub use worker_queue::{FetchedJob, QuarantinedJob, StopReport, WorkerObserver, WorkerOptions, WorkerQueue};
