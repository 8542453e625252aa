//! Originals in an S3-compatible store.

use std::sync::Arc;
use std::time::Duration;

use jobs::url::without_credentials;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::InvalidStores;

/// The settings of an S3 store: `s3://bucket/prefix` and the `S3_*` variables.
#[derive(Debug)]
pub(super) struct S3Settings {
    pub(super) bucket: String,
    /// Prefix of every object's path; may be empty.
    pub(super) prefix: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: SecretString,
    pub(super) allow_http: bool,
}

impl S3Settings {
    /// Reads `url`, and the rest from `variable`, which reads the environment outside tests.
    ///
    /// # Errors
    /// When the address is not of the form `s3://bucket/prefix`, or a variable is missing or cannot be read.
    pub(super) fn read(
        url: &str,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, InvalidStores> {
        let place = url.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            let problem = format!(
                "{} is no place: expected s3://bucket or s3://bucket/prefix",
                without_credentials(url)
            );
            return Err(setting("TENANTRY_BLOBS_URL", &problem));
        }
        let needed = |name| variable(name).filter(|value| !value.is_empty()).ok_or_else(|| missing(name));
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: variable("S3_ENDPOINT").filter(|value| !value.is_empty()),
            region: variable("S3_REGION").filter(|value| !value.is_empty()).unwrap_or("us-east-1".into()),
            access_key_id: needed("S3_ACCESS_KEY_ID")?,
            secret_access_key: needed("S3_SECRET_ACCESS_KEY")?.into(),
            allow_http: flag("S3_ALLOW_HTTP", variable("S3_ALLOW_HTTP").as_deref())?,
        })
    }
}

fn flag(name: &'static str, value: Option<&str>) -> Result<bool, InvalidStores> {
    match value {
        None | Some("" | "0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(setting(name, "expected true or false")),
    }
}

fn missing(name: &'static str) -> InvalidStores {
    setting(name, "not set: set it, because originals go to S3 (TENANTRY_BLOBS_URL)")
}

fn setting(name: &'static str, problem: &str) -> InvalidStores {
    InvalidStores::Setting { setting: name, problem: problem.to_owned() }
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// A client of an S3-compatible store. Sends no request yet.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &'static str) -> Option<String> {
        name.ends_with("KEY_ID")
            .then(|| "id".into())
            .or_else(|| name.ends_with("KEY").then(|| "secret".into()))
    }

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        let settings = S3Settings::read("s3://originals/eu/prod/", keys).unwrap();
        assert_eq!((settings.bucket.as_str(), settings.prefix.as_str()), ("originals", "eu/prod"));
        assert_eq!((settings.region.as_str(), settings.allow_http), ("us-east-1", false));
        assert_eq!(S3Settings::read("s3://originals", keys).unwrap().prefix, "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let named =
            |url: &str, variable: fn(&'static str) -> Option<String>| match S3Settings::read(url, variable) {
                Err(InvalidStores::Setting { setting, .. }) => setting,
                other => panic!("{other:?}"),
            };
        assert_eq!(named("http://originals", keys), "TENANTRY_BLOBS_URL");
        assert_eq!(named("s3://originals", |_| None), "S3_ACCESS_KEY_ID");
        assert_eq!(named("s3://originals", |_| Some("maybe".into())), "S3_ALLOW_HTTP");
    }
}
