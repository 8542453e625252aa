//! The demo: two tenants, their documents, two graphs, and one rejected read across tenants.

mod client;
mod command;
mod report;
mod staging;
mod tour;

pub use client::Client;
pub(crate) use command::Demo;
pub use report::Summary;
pub use staging::{busy, trouble};
pub use tour::{DemoOptions, run};
