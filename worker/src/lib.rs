//! worker
pub mod extract;
pub mod text;
