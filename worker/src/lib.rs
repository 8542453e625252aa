//! worker
pub mod text;
