//! The catalog: what exists, what was asked for, and what became of it; in PostgreSQL or in a SQLite file.

mod db;
mod sql;

pub(crate) use db::{Db, Reader, Tx, View, Whose};
pub(crate) use sql::{Read, Row, Sql, Value, sql};
