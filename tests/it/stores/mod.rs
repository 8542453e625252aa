//! The stores on servers.

mod conformance;
