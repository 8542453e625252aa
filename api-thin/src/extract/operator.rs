use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::admission::identify;
use super::named::named_tenant;
use super::tenant_maker::TenantMaker;
use crate::auth::Principal;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The operator of the installation.
pub struct OperatorCaller {
    /// The tenant that the headers name, if they name one.
    pub named_tenant: Option<String>,
    /// The authority to make tenants.
    pub maker: TenantMaker,
}

impl FromRequestParts<ApiState> for OperatorCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        match identify(parts, app).await? {
            Principal::Operator | Principal::SuperAdmin(_) => {
                Ok(Self { named_tenant: named_tenant(parts, app).await?, maker: TenantMaker::of(parts) })
            }
            Principal::Member(_) => Err(Problem::new(Code::Forbidden, "only the operator's key may do this")),
        }
    }
}
