//! What an embedding program sees of the worker, on the test bench: no servers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]

mod bench;
mod layers;
mod metrics;
mod put_aside;
mod support;
mod waiting;
