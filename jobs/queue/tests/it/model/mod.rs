//! Random commands on a real queue, and on a model of it in plain Rust, under a clock that only the test
//! moves.
//!
//! After every command all keys are read, in one round trip, and compared with the model: each job is in
//! exactly one place (invariant 1), a tenant is in the ready index exactly when it may start something (2) or
//! waits for a moment that comes (3), leases are what is in flight (4), no cap is passed (5), a stale finish
//! changes nothing (6), everything drains when all workers have died and leaves nothing behind (7), the
//! virtual clock never goes back (9), a continuation starts once (10). Shares of worker time (8) are
//! `simulation`'s.
//!
//! `scripts` makes commands up, `plain` is the model, `run` does a command on both sides, `keys` reads and
//! compares, `seeds` tries many.

mod commands;
mod found;
mod keys;
mod plain;
mod run;
mod scripts;
mod seeds;
mod world;

pub(super) use seeds::tried_with;
