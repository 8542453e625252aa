//! What this process counts and measures, as Prometheus reads it.
//!
//! Everything is recorded through the facade [`metrics`], but for what names tenants: that is kept here, for the
//! tenants with the most of it alone, so that the number of series does not grow with the number of tenants.

mod exporter;
mod scrape;
mod survey;
mod tenant_series;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{counter, describe_counter, describe_histogram, histogram};

pub use exporter::{METRICS_TYPE, describe, keep_up, start_recorder, text};
pub(crate) use scrape::Metrics;
pub use scrape::{Sampled, answered};

const REQUESTS: &str = "tenantry_http_requests_total";
const SECONDS: &str = "tenantry_http_request_seconds";

/// Describes the series of requests.
fn describe_requests() {
    describe_counter!(REQUESTS, "Requests that were answered.");
    describe_histogram!(SECONDS, "How long a request took, to the beginning of its answer.");
}

/// Records an answered request. `route` is that of the table, never the path that was asked for.
pub(crate) fn request_answered(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let (method, route) = (name_of(method), route.to_owned());
    let status = status.as_u16().to_string();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status).increment(1);
    histogram!(SECONDS, "method" => method, "route" => route).record(took);
}

/// Clients may invent methods.
fn name_of(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_clients_invent_are_one_series() {
        assert_eq!(name_of(&Method::PATCH), "PATCH");
        assert_eq!(name_of(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
