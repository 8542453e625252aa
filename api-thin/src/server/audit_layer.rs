//! The layer that writes one entry to the audit log for each request to a route that the table marks as logged.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::middleware::RequestId;
use crate::audit::{Action, AuditSlot, Audited, reason};
use crate::routes::{Audit, ROUTES, Route};
use crate::state::ApiState;

/// Writes an entry when the request is answered, or its client leaves, if its caller had the authority to act. Outside
/// of the layers that make an answer of panics and timeouts, so that their status is in the entry.
pub(super) async fn audit(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    let Some(route) = logged_route(&request) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let reason = match reason(&parts.headers) {
        Ok(reason) => reason,
        Err(problem) => return problem.into_response(),
    };
    let audited = Audited {
        action: route.operation_id(),
        for_operator: route.audit == Audit::LoggedForOperator,
        target: target(&mut parts).await,
        reason,
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default(),
    };
    let slot = AuditSlot::default();
    parts.extensions.insert(slot.clone());
    let action = Action::begin(app, slot, audited);
    let response = next.run(Request::from_parts(parts, body)).await;
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    action.answered(response.status().as_u16(), location).await;
    response
}

/// The route of a request, if the table says that it is logged.
fn logged_route(request: &Request) -> Option<&'static Route> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = request.method().as_str();
    let is_it = |route: &&Route| route.method.eq_ignore_ascii_case(method) && route.is_at(path);
    ROUTES.iter().find(is_it).filter(|route| route.audit.is_logged())
}

/// What the path names, but for the tenant, whose log the entry goes to.
async fn target(parts: &mut Parts) -> BTreeMap<String, String> {
    // A path that is not UTF-8 names nothing that there is.
    let Ok(named) = RawPathParams::from_request_parts(parts, &()).await else { return BTreeMap::new() };
    let named = named.iter().filter(|(name, _)| *name != "tenant");
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
