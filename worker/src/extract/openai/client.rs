//! Sends a chunk to the endpoint and reads the answer.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;
use serde_json::json;
use stores::model::Extraction;

use super::reply;
use super::settings::{InvalidOpenAiSettings, OpenAiSettings};
use crate::compute::TenantCompute;
use crate::extract::answer::parse_answer;
use crate::extract::extractor::{ExtractError, Extractor};
use crate::extract::prompt;

/// An answer with 100 records has about 30 KiB; beyond this something is wrong with the endpoint.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks a language model. Makes one request per chunk and never retries by itself: that is the queue's
/// business.
#[derive(Debug)]
pub struct OpenAiExtractor {
    client: Client,
    endpoint: Url,
    model: String,
    /// Some servers refuse `response_format`; after the first refusal we leave it out.
    asks_for_json: AtomicBool,
}

impl OpenAiExtractor {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// Names the setting that cannot work.
    pub fn new(settings: &OpenAiSettings) -> Result<Self, InvalidOpenAiSettings> {
        let endpoint = settings.endpoint()?;
        let model = settings.model.trim().to_owned();
        if model.is_empty() {
            return Err(InvalidOpenAiSettings::Model);
        }
        if settings.timeout.is_zero() {
            return Err(InvalidOpenAiSettings::Timeout);
        }
        // Fails only when a provider is installed already, which is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .default_headers(headers(settings)?)
            .timeout(settings.timeout)
            // A redirect would carry the text of a tenant's document to a place nobody configured.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(InvalidOpenAiSettings::Client)?;
        Ok(Self { client, endpoint, model, asks_for_json: AtomicBool::new(true) })
    }

    async fn send(&self, chunk: &str, asks_for_json: bool) -> Result<Response, ExtractError> {
        let mut body = json!({
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt::SYSTEM},
                {"role": "user", "content": prompt::passage(chunk)},
            ],
        });
        if asks_for_json {
            body["response_format"] = json!({"type": "json_object"});
        }
        let request = self.client.post(self.endpoint.clone()).json(&body);
        request.send().await.map_err(|error| reply::transport_error(&error))
    }

    /// The body of a successful answer.
    async fn ask(&self, chunk: &str) -> Result<Vec<u8>, ExtractError> {
        let asks_for_json = self.asks_for_json.load(Ordering::Relaxed);
        let mut response = self.send(chunk, asks_for_json).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(&mut response).await?;
        if status.is_success() {
            return Ok(body);
        }
        let refuses_json = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
            && String::from_utf8_lossy(&body).contains("response_format");
        if asks_for_json && refuses_json {
            self.asks_for_json.store(false, Ordering::Relaxed);
            return Box::pin(self.ask(chunk)).await;
        }
        Err(reply::status_error(status, &headers, &body))
    }
}

#[async_trait]
impl Extractor for OpenAiExtractor {
    async fn extract(&self, chunk: &str, compute: &TenantCompute) -> Result<Extraction, ExtractError> {
        if chunk.trim().is_empty() {
            return Ok(Extraction::default());
        }
        let body = self.ask(chunk).await?;
        // An answer may have megabytes, and what a document says can make a model write them.
        compute.run(move |_| read_answer(&body)).await?
    }

    fn name(&self) -> &'static str {
        "openai"
    }
}

fn read_answer(body: &[u8]) -> Result<Extraction, ExtractError> {
    let answer = reply::answer_text(body)?;
    parse_answer(&answer).map_err(|error| ExtractError::retry("answer_unreadable", error.to_string()))
}

fn headers(settings: &OpenAiSettings) -> Result<HeaderMap, InvalidOpenAiSettings> {
    let mut headers = HeaderMap::new();
    if let Some(key) =
        settings.api_key.as_ref().map(|key| key.expose_secret().trim()).filter(|key| !key.is_empty())
    {
        let value = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut value: HeaderValue = value.map_err(|_| InvalidOpenAiSettings::ApiKey)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, ExtractError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| reply::transport_error(&error))? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(ExtractError::retry("answer_too_large", "the endpoint's answer exceeds 4 MiB"));
        }
    }
    Ok(body)
}
