//! Black-box tests on real servers. One binary, so that they are linked once.

mod faults;
mod fence;
mod jobs;
mod queue;
mod schedule;
mod tidy;
