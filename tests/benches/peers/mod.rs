//! What a user could pick instead, in folders beside this file: each fills its own queue on our Redis and
//! drains it, with the settings its documentation recommends for speed.

mod peer;

#[cfg(test)]
pub(crate) use peer::tests::shell;
pub(crate) use peer::{PEERS, Peer};
