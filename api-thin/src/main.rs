//! The HTTP API as a program of its own.

fn main() {}
