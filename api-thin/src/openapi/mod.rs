//! The API described by itself: what handlers take and answer is read off their types, and the table of routes says
//! the rest.

mod document;
mod operations;
mod schemas;

pub use document::document;
