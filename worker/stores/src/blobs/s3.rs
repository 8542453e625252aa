use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use secrecy::ExposeSecret as _;

use super::settings::S3Settings;
use crate::config::InvalidStores;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// A client of an S3-compatible store. Nothing is sent yet.
///
/// # Errors
/// When the settings contradict each other.
pub(super) fn client(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>, InvalidStores> {
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(REQUEST_LIMIT)
        .with_allow_http(settings.allow_http);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(settings.secret_access_key.expose_secret())
        .with_client_options(options)
        .with_retry(retry);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|source| InvalidStores::Unreachable {
        setting: "S3_ENDPOINT",
        problem: format!(
            "the S3 client cannot be set up ({}): correct S3_ENDPOINT, S3_REGION and S3_ALLOW_HTTP",
            jobs::error::root(&source)
        ),
    })?;
    Ok(Arc::new(store))
}
