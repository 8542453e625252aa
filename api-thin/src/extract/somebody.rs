use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::admission::identify;
use crate::auth::Identity;
use crate::problem::Problem;
use crate::server::ApiState;

/// Whoever asks, with credentials that are good, about themselves or what is the same for all: no tenant is looked at.
pub struct Somebody(pub Identity);

impl FromRequestParts<ApiState> for Somebody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        identify(parts, app).await.map(Self)
    }
}
