//! Black-box tests on real services.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod queue;
