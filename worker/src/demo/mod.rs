//! The first five minutes: two tenants, their documents, two graphs, and one refused look across.

mod client;
mod folder;
mod progress;
mod report;
mod tour;

pub use client::Client;
pub use report::Summary;
pub use tour::{DemoOptions, run};
