//! The client that sends webhooks.

use std::error::Error;
use std::sync::Arc;

use jobs::webhook::{InvalidTarget, TargetRules};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Request, StatusCode, redirect};

use super::lookup::{CheckedResolver, Lookup, SystemLookup};
use super::{Failure, Message, Patience};

/// The longest text for people, in characters.
const DETAIL_MAX: usize = 200;

/// Sends webhooks, and only where they may go.
#[derive(Clone)]
pub struct Egress {
    client: Client,
    rules: TargetRules,
    patience: Patience,
}

/// The machine lacks what HTTPS needs.
#[derive(Debug, thiserror::Error)]
#[error("no HTTPS client for webhooks could be made; are this machine's CA certificates installed?")]
pub struct NoClient(#[source] reqwest::Error);

impl Egress {
    /// Sends to where `rules` allow.
    ///
    /// # Errors
    /// When there is no HTTPS client.
    pub fn new(rules: TargetRules) -> Result<Self, NoClient> {
        Self::with(rules, Arc::new(SystemLookup), Patience::default())
    }

    /// The same with other names and times.
    ///
    /// # Errors
    /// When there is no HTTPS client.
    pub fn with(rules: TargetRules, lookup: Arc<dyn Lookup>, patience: Patience) -> Result<Self, NoClient> {
        // Fails only when a provider is installed already, which is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .dns_resolver(Arc::new(CheckedResolver { lookup, rules: rules.clone() }))
            // A proxy would connect to addresses that were never checked.
            .no_proxy()
            // A redirect goes where the target says, not where the tenant's administrator did.
            .redirect(redirect::Policy::none())
            // Targets are many and deliveries to one are rare.
            .pool_max_idle_per_host(0)
            .connect_timeout(patience.connect)
            .timeout(patience.total)
            .build()
            .map_err(NoClient)?;
        Ok(Self { client, rules, patience })
    }

    /// Sends a message. Returns the status of an answer that accepts it.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub async fn send(&self, url: &str, message: Message) -> Result<u16, Failure> {
        let target = self.rules.check(url).map_err(|refused| refusal(&refused))?;
        let request = self.client.post(target.url().clone());
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("Tenantry-Webhooks/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        let request = request.build().map_err(|error| failure(&error))?;
        // Resolving a name is not part of every limit of the client.
        match tokio::time::timeout(self.patience.total, self.answer(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(self.too_late()),
        }
    }

    async fn answer(&self, request: Request) -> Result<u16, Failure> {
        let answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| if error.is_timeout() { self.too_late() } else { failure(&error) })?;
        // The body is not read: it may be endless, and what an inner server says is none of the tenant's business.
        let status = answer.status();
        drop(answer);
        accepted(status)
    }

    fn too_late(&self) -> Failure {
        Failure::new("timeout", format!("no answer within {} s", self.patience.total.as_secs()))
    }
}

fn accepted(status: StatusCode) -> Result<u16, Failure> {
    let code = status.as_u16();
    if status.is_success() {
        return Ok(code);
    }
    let (reason, detail) = if status.is_redirection() {
        ("redirect", format!("answered {code}: redirects are not followed, give the webhook its final URL"))
    } else if status == StatusCode::GONE {
        ("gone", "answered 410: it wants no more events, so the webhook is disabled".to_owned())
    } else {
        ("http_status", format!("answered {code}"))
    };
    Err(Failure { code: reason, detail, status: Some(code) })
}

fn refusal(refused: &InvalidTarget) -> Failure {
    Failure::new(refused.code(), refused.to_string())
}

/// What the client's error comes from, without the URL, which may hold a secret.
fn failure(error: &reqwest::Error) -> Failure {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut root = "the request failed".to_owned();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<InvalidTarget>() {
            return refusal(refused);
        }
        if !cause.is::<reqwest::Error>() {
            root = cause.to_string();
        }
        source = cause.source();
    }
    let code = if error.is_connect() { "connect_failed" } else { "request_failed" };
    Failure::new(code, root.chars().take(DETAIL_MAX).collect::<String>())
}
