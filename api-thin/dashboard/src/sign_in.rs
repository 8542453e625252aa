//! Signing in: with the account of a member, with an API key, with the operator's key, or by a link that works once.

use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::Dashboard;
use crate::api::{Api, Problem};
use crate::contract::Me;
use crate::frame::{Frame, PageError, page};
use crate::session;

/// A link that signs in whoever opens it first with given credentials. `tenantry dev` and the demo print one.
pub struct OneTimeLink {
    digest: [u8; 32],
    credentials: Mutex<Option<SecretString>>,
}

impl OneTimeLink {
    /// A link for these credentials, and its path.
    #[must_use]
    pub fn new(credentials: SecretString) -> (Arc<Self>, String) {
        let code = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        let link = Self { digest: Sha256::digest(&code).into(), credentials: Mutex::new(Some(credentials)) };
        (Arc::new(link), format!("/sign-in/{code}"))
    }

    fn take(&self, code: &str) -> Option<SecretString> {
        let given: [u8; 32] = Sha256::digest(code).into();
        if given != self.digest {
            return None;
        }
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    username: String,
    tenant: String,
    error: Option<String>,
    /// The code of a one-time link, when the page is to use it.
    code: Option<String>,
}

impl SignInPage {
    fn new(next: String) -> Self {
        let frame = Frame::anonymous("Sign in");
        Self { frame, next, username: String::new(), tenant: String::new(), error: None, code: None }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    next: String,
}

pub(crate) async fn show(Query(asked): Query<Asked>) -> Response {
    page(&SignInPage::new(local(asked.next)))
}

#[derive(Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    next: String,
}

/// A path of ours, else the first page: an open redirect would lend our name to other sites.
fn local(next: String) -> String {
    let is_local =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t']);
    if is_local { next } else { "/overview".to_owned() }
}

pub(crate) async fn sign_in(
    State(dashboard): State<Dashboard>,
    parts: Parts,
    Form(given): Form<Given>,
) -> Response {
    let api = Api::of_request(dashboard.0.api.clone(), &parts, None);
    let Given { username, tenant, next, .. } = &given;
    let next = local(next.clone());
    match credentials(&api, &given).await {
        Ok(credentials) => start(&parts, &credentials, &next),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let template = SignInPage {
                username: username.clone(),
                tenant: tenant.clone(),
                error: Some(explained(&problem)),
                ..SignInPage::new(next)
            };
            (status, page(&template)).into_response()
        }
    }
}

/// The problem in words that fit the form.
fn explained(problem: &Problem) -> String {
    match problem.code.as_str() {
        "login_failed" => "Name or password is wrong.".to_owned(),
        "credentials_invalid" | "credentials_missing" => "This key is not known, or it has ended.".to_owned(),
        "tenant_required" => "You are a member of several tenants: name one.".to_owned(),
        _ => format!("{}: {}", problem.title, problem.detail),
    }
}

async fn credentials(api: &Api, given: &Given) -> Result<SecretString, Problem> {
    if !given.key.trim().is_empty() {
        let key = SecretString::from(given.key.trim().to_owned());
        api.clone().with_credentials(key.clone()).get::<Me>("/auth/me").await?;
        return Ok(key);
    }
    let mut body = json!({ "username": given.username.trim(), "password": given.password });
    if !given.tenant.trim().is_empty() {
        body["tenant_id"] = json!(given.tenant.trim());
    }
    let tokens = api.change(Method::POST, "/auth/login", Some(&body), "").await?;
    Ok(SecretString::from(tokens["access_token"].as_str().unwrap_or_default().to_owned()))
}

fn start(parts: &Parts, credentials: &SecretString, next: &str) -> Response {
    let cookie = session::started(&parts.headers, credentials);
    ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

/// Shows a button: what opens links beforehand, such as a chat's preview, must not use the link up.
pub(crate) async fn open_link(Path(code): Path<String>) -> Response {
    page(&SignInPage { code: Some(code), ..SignInPage::new("/overview".to_owned()) })
}

pub(crate) async fn use_link(
    State(dashboard): State<Dashboard>,
    Path(code): Path<String>,
    parts: Parts,
) -> Response {
    let found = dashboard.0.link.as_ref().and_then(|link| link.take(&code));
    if let Some(credentials) = found {
        return start(&parts, &credentials, "/overview");
    }
    let error = "This link was used before, or the program that printed it was started again. Sign in with a key or an account.";
    let template = SignInPage { error: Some(error.to_owned()), ..SignInPage::new("/overview".to_owned()) };
    (StatusCode::FORBIDDEN, page(&template)).into_response()
}

#[derive(Deserialize)]
pub(crate) struct SignOut {
    #[serde(default)]
    csrf: String,
}

pub(crate) async fn sign_out(
    visitor: session::Visitor,
    parts: Parts,
    Form(form): Form<SignOut>,
) -> Result<Response, PageError> {
    visitor.check_csrf(&form.csrf)?;
    // Keys have no session that could end: only the browser forgets them.
    let _ = visitor.api.change(Method::POST, "/auth/logout", None, "").await;
    let cookie = session::ended(&parts.headers);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let (link, path) = OneTimeLink::new("op_key".to_owned().into());
        let code = path.rsplit('/').next().unwrap();
        assert!(link.take("another").is_none());
        assert!(link.take(code).is_some());
        assert!(link.take(code).is_none());
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for (next, expected) in [
            ("/t/acme/jobs?state=active", "/t/acme/jobs?state=active"),
            ("", "/overview"),
            ("https://evil.example", "/overview"),
            ("//evil.example", "/overview"),
            ("/\\evil.example", "/overview"),
            ("/\t/evil.example", "/overview"),
        ] {
            assert_eq!(local(next.to_owned()), expected, "{next}");
        }
    }
}
