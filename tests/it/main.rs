//! Black-box tests on real services.

mod queue;
