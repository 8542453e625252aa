//! An external issuer of tokens, as a server of keys in the test's own process.

mod server;

pub use server::Issuer;
