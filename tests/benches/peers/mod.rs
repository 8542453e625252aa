//! What a user could pick instead, in folders beside this file: each fills its own queue on our Redis and
//! drains it, with the settings its documentation recommends for speed.

mod peer;

pub(crate) use peer::{PEERS, Peer};
