use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::admission::identify;
use crate::problem::Problem;
use crate::server::ApiState;

/// Anybody with valid credentials, of whatever tenant, and the operator: for what is the same for all.
pub struct KnownCaller;

impl FromRequestParts<ApiState> for KnownCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        identify(parts, app).await.map(|_| Self)
    }
}
