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
use crate::session::{Identity, Session, Visitor};

/// A link that signs in its first visitor with given credentials. `tenantry dev` and the demo print one.
pub struct OneTimeLink {
    code: String,
    credentials: Mutex<Vec<SecretString>>,
}

impl OneTimeLink {
    /// A link for these credentials.
    #[must_use]
    pub fn new(credentials: SecretString) -> Arc<Self> {
        let code = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        Arc::new(Self { code, credentials: Mutex::new(vec![credentials]) })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/sign-in/{}", self.code)
    }

    /// Signs in with these credentials as well; the first ones act. Nothing happens once it was used.
    pub fn add(&self, credentials: SecretString) {
        let mut known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() {
            known.push(credentials);
        }
    }

    /// Empty for a wrong code, and once it was used.
    fn take(&self, code: &str) -> Vec<SecretString> {
        // Digests are compared, so that the time says nothing about the code.
        if Sha256::digest(code) != Sha256::digest(&self.code) {
            return Vec::new();
        }
        std::mem::take(&mut self.credentials.lock().unwrap_or_else(PoisonError::into_inner))
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
    let api = Api::of_request(&dashboard, &parts, None);
    let next = local(given.next.clone());
    let found = async {
        let credentials = credentials(&api, &given).await?;
        identity(&api, credentials).await
    };
    match found.await {
        Ok(identity) => {
            let mut session = Session::of_request(&parts.headers);
            session.add(identity);
            keep(&parts, &session, &next)
        }
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let template = SignInPage {
                username: given.username,
                tenant: given.tenant,
                error: Some(explained(&problem)),
                ..SignInPage::new(next)
            };
            (status, page(&template)).into_response()
        }
    }
}

/// Whom credentials are for.
async fn identity(api: &Api, credentials: SecretString) -> Result<Identity, Problem> {
    let me: Me = api.clone().with_credentials(credentials.clone()).get("/auth/me").await?;
    Ok(Identity::new(&me, &credentials))
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
        return Ok(given.key.trim().to_owned().into());
    }
    let mut body = json!({ "username": given.username.trim(), "password": given.password });
    if !given.tenant.trim().is_empty() {
        body["tenant_id"] = json!(given.tenant.trim());
    }
    let tokens = api.change(Method::POST, "/auth/login", Some(&body), "").await?;
    Ok(tokens["access_token"].as_str().unwrap_or_default().to_owned().into())
}

fn keep(parts: &Parts, session: &Session, next: &str) -> Response {
    ([(header::SET_COOKIE, session.kept(&parts.headers))], Redirect::to(next)).into_response()
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
    let api = Api::of_request(&dashboard, &parts, None);
    let mut session = Session::default();
    for credentials in dashboard.0.link.iter().flat_map(|link| link.take(&code)) {
        if let Ok(identity) = identity(&api, credentials).await {
            session.add(identity);
        }
    }
    if session.switch(0) {
        return keep(&parts, &session, "/overview");
    }
    let error = "This link was used before, or the program that printed it was started again. Sign in with a key or an \
        account.";
    let template = SignInPage { error: Some(error.to_owned()), ..SignInPage::new("/overview".to_owned()) };
    (StatusCode::FORBIDDEN, page(&template)).into_response()
}

#[derive(Deserialize)]
pub(crate) struct Signed {
    #[serde(default)]
    csrf: String,
    /// The number of an identity.
    #[serde(default)]
    to: usize,
    #[serde(default)]
    next: String,
}

/// Lets another identity of the session act.
pub(crate) async fn switch(
    visitor: Visitor,
    parts: Parts,
    Form(form): Form<Signed>,
) -> Result<Response, PageError> {
    visitor.check_csrf(&form.csrf)?;
    let mut session = Session::of_request(&parts.headers);
    session.switch(form.to);
    Ok(keep(&parts, &session, &local(form.next)))
}

/// Ends the session of the acting identity.
pub(crate) async fn sign_out(
    visitor: Visitor,
    parts: Parts,
    Form(form): Form<Signed>,
) -> Result<Response, PageError> {
    visitor.check_csrf(&form.csrf)?;
    // Keys have no session that could end: only the browser forgets them.
    let _ = visitor.api.change(Method::POST, "/auth/logout", None, "").await;
    let mut session = Session::of_request(&parts.headers);
    let next = if session.leave() { "/overview" } else { "/sign-in" };
    Ok(keep(&parts, &session, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let link = OneTimeLink::new("op_key".to_owned().into());
        link.add("tk_a".to_owned().into());
        let path = link.path();
        let code = path.rsplit('/').next().unwrap();
        assert_eq!(link.take("another").len(), 0);
        assert_eq!(link.take(code).len(), 2);
        link.add("tk_b".to_owned().into());
        assert_eq!(link.take(code).len(), 0);
    }

    #[test]
    fn no_sign_in_leads_to_another_site() {
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
