//! What the black-box tests share: a system on real servers, tenants that look alike, and patience.

pub mod bed;
pub mod program;
pub mod services;
pub mod texts;
pub mod wait;
