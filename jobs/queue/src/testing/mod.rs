//! For tests of programs that use the queue: a queue in memory, servers of their own, and a worker in one call.
//!
//! The queue in memory keeps the same promises as the one on Redis, decided by a clock that the test holds. It does one
//! thing at a time under one lock, so what happens depends on nothing but the calls and the clock. Where the queue on
//! Redis chooses at random, such as the jitter of a parked job, this one does not. The scenarios in
//! `tests/it/conformance` run on both.

mod changes;
mod memory_queue;
mod redis_cluster;
mod redis_server;
mod state;

pub use memory_queue::MemoryQueue;
pub use redis_cluster::RedisCluster;
pub use redis_server::{RedisServer, shared_redis_url};

pub use crate::apalis::run_for_tests;
pub use crate::script::LibraryPatch;
