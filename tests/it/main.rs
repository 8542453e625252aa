//! Black-box tests on real servers. One binary, so that they are linked once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod api;
mod faults;
mod fence;
mod isolation;
mod jobs;
mod queue;
mod schedule;
mod stores;
mod tidy;
