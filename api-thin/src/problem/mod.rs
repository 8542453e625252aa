//! What a request that is refused gets back: `application/problem+json` (RFC 9457) with a stable code.

mod answer;
mod causes;
mod code;

pub use answer::Problem;
pub(crate) use answer::ProblemBody;
pub use code::Code;
