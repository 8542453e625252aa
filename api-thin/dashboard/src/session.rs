//! The session of a signed-in person: a cookie that holds their credentials, where no script reads it.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`. What changes something also needs the token that a page of ours shows
//! in its forms, and a request that a browser says comes from elsewhere is refused (`same_origin`).

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::Dashboard;
use crate::api::{Api, with_query};
use crate::contract::Me;
use crate::frame::{PageError, plain_error};

const COOKIE: &str = "tenantry_session";
/// As long as the token of a log-in.
const SECONDS: u32 = 24 * 3600;

/// A signed-in person, and the API with their credentials.
pub(crate) struct Visitor {
    pub(crate) api: Api,
    pub(crate) me: Me,
    /// What forms have to send along.
    pub(crate) csrf: String,
    /// The outcome of the action before, shown once.
    pub(crate) notice: Option<String>,
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
        let Some(credentials) = credentials(&parts.headers) else { return Err(to_sign_in(parts)) };
        let csrf = csrf_of(&credentials);
        let api = Api::of_request(dashboard.0.api.clone(), parts, Some(credentials));
        match api.get::<Me>("/auth/me").await {
            Ok(me) => {
                Ok(Self { api, me, csrf, notice: cookie(&parts.headers, NOTICE).as_deref().and_then(decode) })
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

fn credentials(headers: &HeaderMap) -> Option<SecretString> {
    cookie(headers, COOKIE)
        .as_deref()
        .and_then(decode)
        .filter(|text| !text.is_empty())
        .map(SecretString::from)
}

/// Credentials in the browser's hands, until the browser or the person ends the session.
pub(crate) fn started(headers: &HeaderMap, credentials: &SecretString) -> HeaderValue {
    let value = BASE64_URL_SAFE_NO_PAD.encode(credentials.expose_secret());
    set(headers, COOKIE, &value, SECONDS)
}

pub(crate) fn ended(headers: &HeaderMap) -> HeaderValue {
    set(headers, COOKIE, "", 0)
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

    #[test]
    fn credentials_come_back_from_their_cookie() {
        let set = started(&HeaderMap::new(), &"tk_acme_1_a=b;c".to_owned().into());
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut sent = HeaderMap::new();
        sent.insert(header::COOKIE, HeaderValue::try_from(format!("other=1; {pair}")).unwrap());
        assert_eq!(credentials(&sent).unwrap().expose_secret(), "tk_acme_1_a=b;c");
        assert!(set.to_str().unwrap().contains("; HttpOnly; SameSite=Strict"));
        let encrypted = started(&headers(&[("x-forwarded-proto", "https")]), &"x".to_owned().into());
        assert!(encrypted.to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn a_cookie_that_is_none_signs_nobody_in() {
        for bad in ["tenantry_session=", "tenantry_session=%%", "tenantry_session", "other=eA"] {
            assert!(credentials(&headers(&[("cookie", bad)])).is_none(), "{bad}");
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
