//! How often tenants ask: how fast, and how often in a month.
//!
//! Only requests whose credentials belong to the tenant are counted, so nobody uses up what is another's, and
//! the operator's are counted for nobody.

mod calls;
mod gate;
mod headers;
mod rate;

pub(crate) use gate::Meter;
pub(crate) use headers::rate_headers;
