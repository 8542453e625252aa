//! The stores on real servers, without a worker: a worker beside these tests would relay their outbox rows.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod conformance;
mod isolation;
mod redis_cluster;
