//! What is around every page: navigation, the outcome of the last action, errors, headers.

use std::any::Any;

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use crate::api::{Problem, segment};
use crate::contract::Me;
use crate::session::{self, Identity, Visitor};

/// Scripts and styles of ours alone, no frames, forms to ourselves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What templates show around their content.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) me: Option<Me>,
    pub(crate) csrf: String,
    pub(crate) notice: Option<String>,
    /// The other identities that the person has signed in with.
    pub(crate) others: Vec<(usize, Identity)>,
    /// The tenant that the page is about.
    pub(crate) tenant: Option<String>,
    /// The entry of the navigation that the page belongs to.
    pub(crate) place: &'static str,
}

impl Frame {
    pub(crate) fn new(visitor: &Visitor, title: impl Into<String>, place: &'static str) -> Self {
        Self {
            title: title.into(),
            me: Some(visitor.me.clone()),
            csrf: visitor.csrf.clone(),
            notice: visitor.notice.clone(),
            others: visitor.others.clone(),
            tenant: None,
            place,
        }
    }

    pub(crate) fn of_tenant(
        visitor: &Visitor,
        tenant: &str,
        title: impl Into<String>,
        place: &'static str,
    ) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..Self::new(visitor, title, place) }
    }

    pub(crate) fn anonymous(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            me: None,
            csrf: String::new(),
            notice: None,
            others: Vec::new(),
            tenant: None,
            place: "",
        }
    }

    /// The tenant as a segment of a path.
    pub(crate) fn in_path(&self) -> String {
        self.tenant.as_deref().map(segment).unwrap_or_default()
    }

    pub(crate) fn manages_tenant(&self) -> bool {
        self.me.as_ref().is_some_and(Me::manages_tenant)
    }

    pub(crate) fn reads_documents(&self) -> bool {
        self.me.as_ref().is_some_and(Me::reads_documents)
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.me.as_ref().is_some_and(|me| me.operator)
    }
}

/// A page, rendered.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            plain_error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page cannot be shown",
                "The fault was logged.",
            )
        }
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) struct PageError {
    status: StatusCode,
    title: String,
    detail: String,
}

impl PageError {
    pub(crate) fn forged() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            title: "This form is out of date".to_owned(),
            detail: "Nothing was done. Go back, load the page again and repeat what you did.".to_owned(),
        }
    }

    pub(crate) fn not_found() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such page".to_owned(),
            detail: "It does not exist, or you may not see it.".to_owned(),
        }
    }
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        let Problem { status, title, detail, code } = problem;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self { status, title, detail: format!("{detail} ({code})") }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    detail: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let template = ErrorPage {
            frame: Frame::anonymous(self.title),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        (self.status, page(&template)).into_response()
    }
}

/// An error that is shown without a template, for when those fail or nothing is known of the caller.
pub(crate) fn plain_error(status: StatusCode, title: &str, detail: &str) -> Response {
    (status, format!("{title}\n{detail}\n")).into_response()
}

pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a page panicked");
    plain_error(StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be shown", "The fault was logged.")
}

/// Pages are not cached, framed or sniffed at, and say no other site where their reader was.
pub(crate) async fn page_headers(request: Request, next: Next) -> Response {
    let shows_notice = request.method() == Method::GET && session::has_notice(request.headers());
    let shown = session::notice_shown(request.headers());
    let mut response = next.run(request).await;
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/html; charset=utf-8");
    let headers = response.headers_mut();
    if shows_notice && is_page {
        headers.append(header::SET_COOKIE, shown);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
