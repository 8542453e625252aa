//! The first five minutes: two tenants, their documents, two graphs, and one refused look across.

mod client;
mod command;
mod report;
mod tour;

pub use client::Client;
pub(crate) use command::Demo;
pub use report::Summary;
pub use tour::{DemoOptions, run};
