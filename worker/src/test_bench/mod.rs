//! Jobs and layers under test: no servers, no waiting, and a clock that the test holds.
//!
//! A [`TestBench`] has a queue in memory and embedded stores in a directory that goes with it. Its jobs go
//! the way of every job: stamped, fetched, verified against the directory, through the layers to the handler,
//! finished. Only the servers are missing, and the chance: one job at a time, in an order that depends on
//! nothing but the calls.

mod bench;
mod report;

pub use bench::TestBench;
pub use report::{Report, Run};
