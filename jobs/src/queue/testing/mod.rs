//! The queue without Redis, for tests: the same promises, decided by a clock that the test holds.
//!
//! It does one thing at a time under one lock, so what happens depends on nothing but the calls and the
//! clock. Where the queue on Redis chooses at random, such as the jitter of a parked job, this one does not.
//! The scenarios in `tests/it/queue/conformance` run on both.

mod changes;
mod memory_queue;
mod state;

pub use memory_queue::MemoryQueue;
