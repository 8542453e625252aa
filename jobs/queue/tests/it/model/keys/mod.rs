//! The keys, read after every command, and what must be true of them.

mod claims;
mod jobs;
mod row;
mod snapshot;
mod tenants;
mod waiting;

pub(super) use row::Row;
pub(super) use snapshot::{Reader, Snapshot};

use super::plain::Model;

/// Compares the queue with its model, which takes over what only the queue can decide.
pub(super) fn check(before: &Snapshot, now: &Snapshot, model: &mut Model) -> Result<(), String> {
    if now.virtual_clock < before.virtual_clock {
        let (from, to) = (before.virtual_clock, now.virtual_clock);
        return Err(format!("the virtual clock went back from {from} to {to}"));
    }
    waiting::check(now, model)?;
    jobs::check(now, model)?;
    claims::check(now, model)?;
    tenants::check(before, now, model)
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}
