//! What an endpoint's reply means: an answer, a reason to wait, or a setting to correct.

use std::time::Duration;

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::extract::extractor::ExtractError;

/// No endpoint is obeyed for longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

/// The model's answer in the body of a successful reply.
pub(super) fn answer_text(body: &[u8]) -> Result<String, ExtractError> {
    let completion: Completion = serde_json::from_slice(body).map_err(|_| {
        ExtractError::fail(
            "not_a_completion",
            "the endpoint's answer is no chat completion; check that OPENAI_BASE_URL ends where \
             /chat/completions begins",
        )
    })?;
    let content = completion.choices.into_iter().next().and_then(|choice| choice.message.content);
    content.ok_or_else(|| ExtractError::retry("answer_unreadable", "the model gave no answer"))
}

/// A request that got no reply, or no whole one.
pub(super) fn transport_error(error: &reqwest::Error) -> ExtractError {
    let (code, what) = match () {
        () if error.is_timeout() => {
            ("endpoint_timeout", "the endpoint did not answer in time (OPENAI_TIMEOUT_S)")
        }
        () if error.is_connect() => {
            ("endpoint_unreachable", "no connection to the endpoint (OPENAI_BASE_URL)")
        }
        () => ("endpoint_unreachable", "the connection to the endpoint broke"),
    };
    ExtractError::retry(code, what)
}

/// A reply with any status but success.
pub(super) fn status_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ExtractError {
    let detail = error_code(body).map_or_else(String::new, |code| format!(" ({code})"));
    let code = status.as_u16();
    let advice = match code {
        408 | 409 | 425 | 429 | 500..=599 => {
            let name = if code == 429 { "rate_limited" } else { "endpoint_unavailable" };
            let reason = format!("the endpoint answered {code}{detail}");
            return ExtractError::Retry { code: name, reason, retry_after: retry_after(headers) };
        }
        401 => "OPENAI_API_KEY is missing or wrong",
        403 => "OPENAI_API_KEY may not use OPENAI_MODEL",
        402 => "the account of OPENAI_API_KEY has no credit",
        404 => "OPENAI_MODEL or the path in OPENAI_BASE_URL is unknown there",
        413 => "the chunk is too large for OPENAI_MODEL",
        300..=399 => "OPENAI_BASE_URL redirects; set the address it redirects to",
        _ => "OPENAI_MODEL does not take this request; check OPENAI_MODEL and OPENAI_BASE_URL",
    };
    ExtractError::fail("endpoint_refused", format!("the endpoint answered {code}{detail}: {advice}"))
}

/// The `code` or `type` of an error body. Its `message` may quote a tenant's text or a key, so it is never
/// shown.
fn error_code(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let code = ["code", "type"].iter().find_map(|name| error.get(name)?.as_str())?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (code.len() <= 64 && !code.is_empty() && code.chars().all(is_name)).then(|| code.to_owned())
}

/// Reads `retry-after-ms` or `Retry-After` in either form. A date is taken relative to the reply's own
/// `Date`, so that no clock but the endpoint's matters.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    let number = |name: &str| text(name).and_then(|value| value.parse::<f64>().ok());
    let wait = match (number("retry-after-ms"), number(RETRY_AFTER.as_str())) {
        (Some(milliseconds), _) => seconds(milliseconds / 1000.0)?,
        (None, Some(value)) => seconds(value)?,
        (None, None) => {
            let until = DateTime::parse_from_rfc2822(text(RETRY_AFTER.as_str())?).ok()?;
            let now = DateTime::parse_from_rfc2822(text(DATE.as_str())?).ok()?;
            (until - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}
