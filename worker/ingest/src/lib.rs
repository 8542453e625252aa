#![doc = include_str!("../README.md")]

pub mod extract;
pub mod metrics;
pub mod registry;
pub mod text;
pub mod tools;
pub mod webhooks;

mod handlers;

pub use registry::{equip, registry};
pub use tools::{ExtractionSettings, Tools};
pub use webhooks::Egress;
