//! The tenant and the knowledge base that a request names: in host name, headers, path, which must not contradict each
//! other.

use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::http::HeaderName;
use axum::http::request::Parts;

use crate::accounts::is_reserved;
use crate::auth::one_name;
use crate::problem::{Code, Problem};
use crate::resolve::{Host, HostFault, TenantSource};
use crate::server::ApiState;

const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
const KB: HeaderName = HeaderName::from_static("x-kb-id");

/// The tenant that the request names; `None` when it leaves that to its credentials.
pub(super) async fn named_tenant(parts: &mut Parts, app: &ApiState) -> Result<Option<String>, Problem> {
    let mut names = names_in_path(parts, "tenant").await?;
    let resolution = app.resolution();
    for source in &resolution.sources {
        match source {
            TenantSource::Header => names.extend(names_in_header(parts, &TENANT)),
            TenantSource::Subdomain => names.extend(in_host(parts, app).await?),
            TenantSource::Path | TenantSource::Claim => {}
        }
    }
    let named = one_name(names.iter().map(String::as_str)).map_err(|_| {
        let detail = "host name, X-Tenant-ID and path must name the same tenant, as far as they name one";
        Problem::new(Code::TenantConflict, detail)
    })?;
    match (&resolution.only_tenant, named) {
        (Some(only), Some(named)) if named != only.as_str() => Err(Problem::not_found()),
        (Some(only), _) => Ok(Some(only.as_str().to_owned())),
        (None, named) => Ok(named.map(str::to_owned)),
    }
}

/// The knowledge base that path and header name.
pub(super) async fn named_kb(parts: &mut Parts) -> Result<Option<String>, Problem> {
    let mut names = names_in_path(parts, "kb").await?;
    names.extend(names_in_header(parts, &KB));
    let named = one_name(names.iter().map(String::as_str)).map_err(|_| {
        Problem::new(Code::KbConflict, "the knowledge base in the path and in X-KB-ID must be the same")
    })?;
    Ok(named.map(str::to_owned))
}

/// The tenant that the host name's first label means.
async fn in_host(parts: &Parts, app: &ApiState) -> Result<Option<String>, Problem> {
    let resolution = app.resolution();
    let Some(base) = resolution.base_domain.as_deref() else { return Ok(None) };
    let host = Host::of(parts, &resolution.trusted_proxies).map_err(|fault| match fault {
        HostFault::Untrusted => Problem::new(Code::ForwardedHostUntrusted, fault.to_string()),
        HostFault::Unreadable => Problem::new(Code::InvalidHost, fault.to_string()),
    })?;
    let Some(label) = host.as_ref().and_then(|host| host.label_of(base)) else { return Ok(None) };
    if is_reserved(label) {
        return Ok(None);
    }
    let tenant = app.directory().tenant_of_slug(label).await?;
    tenant.map(|tenant| Some(tenant.as_str().to_owned())).ok_or_else(Problem::not_found)
}

/// What the parameter `name` of the path says.
async fn names_in_path(parts: &mut Parts, name: &str) -> Result<Vec<String>, Problem> {
    let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Problem::not_found())?;
    Ok(path.iter().filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect())
}

/// What all headers called `name` say.
fn names_in_header(parts: &Parts, name: &HeaderName) -> Vec<String> {
    let values = parts.headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}
