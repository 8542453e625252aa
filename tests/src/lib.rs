//! What the black-box tests share: a system on real servers, tenants that look alike, and patience.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

pub mod api;
pub mod bed;
pub mod cli;
pub mod events;
pub mod holdings;
pub mod model;
pub mod program;
pub mod reasons;
pub mod receiver;
pub mod services;
pub mod texts;
pub mod trips;
pub mod wait;
