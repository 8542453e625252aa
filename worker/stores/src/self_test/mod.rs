//! The start-up self-test: writes as one tenant, and refuses to start if another can read it.
//!
//! Every process that starts runs it, so each run has ids of its own, and takes away what it wrote. What the
//! catalog keeps is an idempotency record, which expires. No tenant, knowledge base or document row stands
//! behind the canary.

mod canary;
mod run;

pub(crate) use run::run;
