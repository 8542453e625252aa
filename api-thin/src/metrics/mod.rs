//! What this process counts and measures, as Prometheus reads it.
//!
//! Everything is recorded through the facade [`metrics`], but for what names tenants: that is kept here, for the tenants
//! with the most of it alone, so that the number of series does not grow with the number of tenants.

mod exporter;
mod http;
mod scrape;
mod survey;
mod tenant_series;

pub use exporter::{METRICS_TYPE, describe, keep_up, start_recorder, text};
pub(crate) use http::request_answered;
pub(crate) use scrape::Metrics;
pub use scrape::{Sampled, answered};
