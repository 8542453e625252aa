//! The queue as a source of tasks for an apalis worker.
//!
//! apalis calls a backend only when it has nothing better to do, never during a drain, and ends the worker at
//! the first error. So nothing that must happen in time happens there: feeder, finisher, renewer, watchdog,
//! reaper and heartbeat are tasks of their own, which outlive any absence of Redis; [`JobBackend`] merely
//! empties a buffer.

mod acker;
mod asked;
mod backend;
mod backoff;
mod buffer;
mod claims;
mod delivery;
mod feeder;
mod finisher;
mod job;
mod presence;
mod reaper;
mod renewer;
mod reserve;
#[cfg(feature = "test-support")]
mod run_for_tests;
mod shard_order;
mod shared;
mod signals;
mod ticket;
mod watchers;
mod worker_queue;

pub use backend::JobBackend;
pub use job::{FetchedJob, QuarantinedJob};
#[cfg(feature = "test-support")]
pub use run_for_tests::run_for_tests;
pub use shard_order::{NextShard, ShardOrder};
pub use worker_queue::{StopReport, WorkerObserver, WorkerOptions, WorkerQueue};
