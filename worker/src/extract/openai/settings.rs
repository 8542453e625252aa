//! Where the language model is and how we identify ourselves.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

/// What is needed to ask a language model.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// `OPENAI_BASE_URL`, such as `https://api.openai.com/v1`; `/chat/completions` is appended.
    pub base_url: String,
    /// `OPENAI_API_KEY`; local servers often need none.
    pub api_key: Option<SecretString>,
    /// `OPENAI_MODEL`.
    pub model: String,
    /// `OPENAI_TIMEOUT_S`: for one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOpenAiSettings {
    /// The address cannot be used.
    #[error("OPENAI_BASE_URL is not an http or https address without query: '{0}'")]
    BaseUrl(String),
    /// No model is named.
    #[error("OPENAI_MODEL is empty; name the model that the endpoint shall use")]
    Model,
    /// The key cannot be sent.
    #[error("OPENAI_API_KEY has characters that no HTTP header can carry")]
    ApiKey,
    /// No request could ever succeed.
    #[error("OPENAI_TIMEOUT_S must be more than zero")]
    Timeout,
    /// The machine lacks what HTTPS needs.
    #[error("no HTTPS client could be made; are this machine's CA certificates installed?")]
    Client(#[source] reqwest::Error),
}

impl OpenAiSettings {
    /// The address requests go to.
    pub(super) fn endpoint(&self) -> Result<Url, InvalidOpenAiSettings> {
        let invalid = || InvalidOpenAiSettings::BaseUrl(without_credentials(&self.base_url));
        let base = Url::parse(self.base_url.trim()).map_err(|_| invalid())?;
        let is_plain = base.query().is_none() && base.fragment().is_none() && base.password().is_none();
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || !is_plain {
            return Err(invalid());
        }
        let address = format!("{}/chat/completions", base.as_str().trim_end_matches('/'));
        Url::parse(&address).map_err(|_| invalid())
    }
}

/// An address fit to be shown, with everything between scheme and `@` left out.
fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}
