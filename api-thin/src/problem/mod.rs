//! What a request that is refused gets back: `application/problem+json` (RFC 9457) with a stable code.

mod code;
mod details;

pub use code::Code;
pub use details::Problem;
pub(crate) use details::{ProblemBody, shown};
