//! The session of a signed-in person: a cookie that holds their credentials, where no script reads it. It may hold
//! several identities, such as the operator's key and one tenant's, of which one acts.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`. What changes something also needs the token that a page of ours
//! shows in its forms, and a request that a browser says comes from elsewhere is refused (`same_origin`).

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Dashboard;
use crate::api::{Api, with_query};
use crate::contract::Me;
use crate::frame::{PageError, plain_error};

const COOKIE: &str = "tenantry_session";
/// As long as the token of a log-in, unless `TENANTRY_TOKEN_HOURS` says otherwise.
const SECONDS: u32 = 24 * 3600;

/// A signed-in person, and the API with their credentials.
pub(crate) struct Visitor {
    pub(crate) api: Api,
    pub(crate) me: Me,
    /// What forms have to send along.
    pub(crate) csrf: String,
    /// The outcome of the action before, shown once.
    pub(crate) notice: Option<String>,
    /// The other identities of the session, with their numbers.
    pub(crate) others: Vec<(usize, Identity)>,
}

impl Visitor {
    /// Checks what a form or a script sent along.
    pub(crate) fn check_csrf(&self, given: &str) -> Result<(), PageError> {
        // Both are digests, so that the time of a comparison says nothing about the credentials.
        if digest(given) == digest(&self.csrf) {
            return Ok(());
        }
        Err(PageError::forged())
    }
}

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Response> {
        let session = Session::of_request(&parts.headers);
        let Some(credentials) = session.acting().map(Identity::credentials) else {
            return Err(to_sign_in(parts));
        };
        let csrf = csrf_of(&credentials);
        let api = Api::of_request(dashboard, parts, Some(credentials));
        let current = session.current;
        let others = session.identities.into_iter().enumerate().filter(|(at, _)| *at != current).collect();
        match api.get::<Me>("/auth/me").await {
            Ok(me) => {
                let notice = cookie(&parts.headers, NOTICE).as_deref().and_then(decode);
                Ok(Self { api, me, csrf, notice, others })
            }
            Err(problem) if problem.status == 401 => Err(to_sign_in(parts)),
            Err(problem) => Err(PageError::from(problem).into_response()),
        }
    }
}

/// Where to sign in, to come back here. What was to be sent is not: it would be sent without being seen.
fn to_sign_in(parts: &Parts) -> Response {
    if parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream") {
        return StatusCode::NO_CONTENT.into_response();
    }
    let asked = if parts.method == Method::GET {
        parts.uri.path_and_query().map_or("/", |asked| asked.as_str())
    } else {
        ""
    };
    Redirect::to(&with_query("/sign-in", &[("next", asked)])).into_response()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn csrf_of(credentials: &SecretString) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("csrf {}", credentials.expose_secret())))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

fn decode(value: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

/// One of the identities that a person has signed in with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The name to show.
    pub(crate) name: String,
    /// The tenant that the credentials are for.
    pub(crate) tenant: Option<String>,
    key: String,
}

impl Identity {
    pub(crate) fn new(me: &Me, credentials: &SecretString) -> Self {
        Self { name: me.name(), tenant: me.tenant_id.clone(), key: credentials.expose_secret().to_owned() }
    }

    fn credentials(&self) -> SecretString {
        self.key.clone().into()
    }
}

/// The identities of a session, of which one acts.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Session {
    current: usize,
    identities: Vec<Identity>,
}

impl Session {
    /// As many as fit into a cookie.
    const MOST: usize = 5;

    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let sent = cookie(headers, COOKIE).as_deref().and_then(decode);
        sent.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    }

    fn acting(&self) -> Option<&Identity> {
        self.identities.get(self.current)
    }

    /// Adds an identity, which acts from now on.
    pub(crate) fn add(&mut self, identity: Identity) {
        self.identities.retain(|known| known.key != identity.key);
        if self.identities.len() == Self::MOST {
            self.identities.remove(0);
        }
        self.identities.push(identity);
        self.current = self.identities.len() - 1;
    }

    /// Lets another identity act. Whether there is any.
    pub(crate) fn switch(&mut self, to: usize) -> bool {
        self.current = to.min(self.identities.len().saturating_sub(1));
        !self.identities.is_empty()
    }

    /// Removes the acting identity. Whether another is left, which acts from now on.
    pub(crate) fn leave(&mut self) -> bool {
        if self.current < self.identities.len() {
            self.identities.remove(self.current);
        }
        self.current = 0;
        !self.identities.is_empty()
    }

    /// The cookie that keeps the session in the browser.
    pub(crate) fn kept(&self, headers: &HeaderMap) -> HeaderValue {
        let json = serde_json::to_string(self).expect("texts and a number are always JSON");
        let seconds = if self.identities.is_empty() { 0 } else { SECONDS };
        set(headers, COOKIE, &BASE64_URL_SAFE_NO_PAD.encode(json), seconds)
    }
}

const NOTICE: &str = "tenantry_notice";

/// The outcome of an action, for the page that comes next.
pub(crate) fn notice(headers: &HeaderMap, text: &str) -> HeaderValue {
    set(headers, NOTICE, &BASE64_URL_SAFE_NO_PAD.encode(text), 30)
}

pub(crate) fn has_notice(headers: &HeaderMap) -> bool {
    cookie(headers, NOTICE).is_some_and(|value| !value.is_empty())
}

pub(crate) fn notice_shown(headers: &HeaderMap) -> HeaderValue {
    set(headers, NOTICE, "", 0)
}

fn set(headers: &HeaderMap, name: &str, value: &str, seconds: u32) -> HeaderValue {
    let encrypted = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if encrypted { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).expect("a name of ours and Base64 are ASCII")
}

/// Refuses what changes something and comes from a page of another origin, as the browser says.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_same_origin(request.headers()) {
        return next.run(request).await;
    }
    plain_error(
        StatusCode::FORBIDDEN,
        "This request comes from another site",
        "Open the dashboard and try again there.",
    )
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text("host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn identity(key: &str) -> Identity {
        Identity { name: key.to_owned(), tenant: None, key: key.to_owned() }
    }

    #[test]
    fn a_session_comes_back_from_its_cookie() {
        let mut session = Session::default();
        for key in ["op_1", "tk_acme_1_a=b;c", "op_1"] {
            session.add(identity(key));
        }
        let kept = session.kept(&HeaderMap::new());
        let text = kept.to_str().unwrap();
        let mut sent = HeaderMap::new();
        let pair = text.split(';').next().unwrap();
        sent.insert(header::COOKIE, HeaderValue::try_from(format!("other=1; {pair}")).unwrap());
        let mut found = Session::of_request(&sent);
        assert_eq!(found.acting().unwrap().key, "op_1");
        found.switch(0);
        assert_eq!(found.acting().unwrap().key, "tk_acme_1_a=b;c");
        assert!(found.leave() && found.acting().unwrap().key == "op_1");
        assert!(!found.leave() && found.acting().is_none());
        assert!(text.contains("; HttpOnly; SameSite=Strict"));
        let encrypted = session.kept(&headers(&[("x-forwarded-proto", "https")]));
        assert!(encrypted.to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn a_session_fits_into_a_cookie() {
        let mut session = Session::default();
        for key in 0..20 {
            let token = format!("{key}{}", "x".repeat(450));
            session.add(Identity { key: token, ..identity("ann@example.com") });
        }
        assert_eq!(session.identities.len(), Session::MOST);
        assert!(
            session.kept(&HeaderMap::new()).len() < 4096 + 200,
            "{}",
            session.kept(&HeaderMap::new()).len()
        );
    }

    #[test]
    fn a_cookie_that_is_none_signs_no_user_in() {
        for bad in [
            "tenantry_session=",
            "tenantry_session=%%",
            "tenantry_session",
            "other=eA",
            "tenantry_session=e30",
        ] {
            assert!(Session::of_request(&headers(&[("cookie", bad)])).acting().is_none(), "{bad}");
        }
    }

    #[test]
    fn requests_of_other_sites_are_told_by_what_browsers_say() {
        for (pairs, same) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")], false),
            (vec![("origin", "http://a:1"), ("host", "a:1")], true),
            (vec![("origin", "http://b:1"), ("host", "a:1")], false),
            (vec![("origin", "null"), ("host", "a:1")], false),
        ] {
            assert_eq!(is_same_origin(&headers(&pairs)), same, "{pairs:?}");
        }
    }
}
