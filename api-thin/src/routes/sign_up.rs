//! `/signup`: a person creates a user and a tenant of their own.

use axum::extract::State;
use jobs::tenant::{Subject, TenantId};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use stores::model::{NewTenant, User, UserName};

use super::parameters::{invalid_field, refused_slug, text};
use super::plans::check_plan;
use crate::accept::{AcceptedTenant, IdempotencyKey, TenantRequest, accept_tenant};
use crate::accounts::{LogInRefused, Passwords, slug};
use crate::answer::{Answer, Secret};
use crate::problem::{Code, Problem};
use crate::request::{Json, SignUpCaller};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    /// 3 to 63 of a-z, 0-9 and -; it becomes the subdomain too.
    #[schemars(with = "TenantId")]
    tenant_id: String,
    /// The tenant's display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// The user who becomes its first ADMIN.
    #[schemars(with = "Subject")]
    username: String,
    #[schemars(with = "String")]
    password: SecretString,
}

/// `POST /api/v1/signup`
pub(super) async fn sign_up(
    State(app): State<ApiState>,
    who: SignUpCaller,
    Json(body): Json<SignUp>,
) -> Result<Secret<Answer<AcceptedTenant>>, Problem> {
    let id = slug(&body.tenant_id).map_err(|fault| refused_slug("tenant_id", fault))?;
    let name = text("name", body.name, 200)?;
    let username = body.username.parse::<UserName>();
    let username = username.map_err(|error| invalid_field("username", error.to_string()))?;
    Passwords::check(&body.password).map_err(|error| invalid_field("password", error.to_string()))?;
    let plan = app.plans().newcomers().to_owned();
    check_plan(&app, &plan)?;
    let accounts = app.accounts();
    let throttle = format!("signup:address:{}", who.from);
    accounts.count(&throttle, accounts.rules().sign_ups_per_address).await?;
    // Such an account has power over the installation, so it is not for the taking.
    if accounts.is_super_admin(&username) {
        return Err(Problem::new(Code::UserExists, "choose another username"));
    }
    let password_hash = accounts.passwords().hash(body.password).await.map_err(LogInRefused::from)?;
    let created_by = Some(username.identity().to_string());
    let new = NewTenant { created_by, ..NewTenant::new(name, plan) };
    let founder = User { name: username, password_hash };
    let request = TenantRequest { id: Some(id), new, founder: Some(founder), member: None };
    // No key: an answer with a secret is given again only to a caller with credentials.
    accept_tenant(&app, &who.maker, &IdempotencyKey(None), request).await.map(Secret)
}
