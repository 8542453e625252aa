//! Between Rust values and `SQLite` columns.

use super::fault::Fault;

/// A number that is never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(number: i64, column: &'static str) -> Result<T, Fault> {
    number.try_into().map_err(|_| Fault::Column(column))
}

/// A number as `SQLite` stores it.
pub(super) fn signed(number: u64, column: &'static str) -> Result<i64, Fault> {
    number.try_into().map_err(|_| Fault::Column(column))
}
