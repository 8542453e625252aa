//! Limits of tenants, and plans: named sets of them.
//!
//! Plans belong to the operator, not to a tenant, so they are configuration and no table: every row of the
//! catalog has a tenant. What one tenant has beyond its plan is kept in that tenant's own row.

mod limits;
mod plans;

pub use limits::{InvalidLimit, Isolation, Limits, Quota};
pub use plans::{InvalidPlans, Plans};
