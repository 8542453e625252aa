use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::tenant::Identity;

use super::admission::{identify, person};
use crate::auth::Principal;
use crate::problem::Problem;
use crate::server::ApiState;

/// A caller with good credentials, about themselves or what is the same for all: no tenant is looked at.
pub struct Somebody(pub Principal);

impl FromRequestParts<ApiState> for Somebody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        identify(parts, app).await.map(Self)
    }
}

/// A person with a good token, wherever they are a member; `None` for a request without credentials.
pub struct Person(pub Option<Identity>);

impl FromRequestParts<ApiState> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        person(parts, app).await.map(Self)
    }
}
