//! Between Rust values and `SQLite` columns.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::fault::Fault;

/// A moment as microseconds since the Unix epoch.
pub(super) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// The moment of a column.
pub(super) fn moment(us: i64, column: &'static str) -> Result<DateTime<Utc>, Fault> {
    DateTime::from_timestamp_micros(us).ok_or(Fault::Column(column))
}

/// A number that is never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(number: i64, column: &'static str) -> Result<T, Fault> {
    number.try_into().map_err(|_| Fault::Column(column))
}

/// A number as `SQLite` stores it.
pub(super) fn signed(number: u64, column: &'static str) -> Result<i64, Fault> {
    number.try_into().map_err(|_| Fault::Column(column))
}

/// A value that is stored as text.
pub(super) fn parsed<T: FromStr>(text: &str, column: &'static str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Column(column))
}
