//! The API described by itself: what handlers take and answer is read off their types, and the table of routes says
//! the rest.

mod content;
mod describe;
mod document;
mod inputs;
mod outputs;
mod responses;

pub use document::document;
