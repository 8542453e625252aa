//! The tenant and the knowledge base that a request names: in host name, headers, path, which must not contradict each
//! other.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts as _, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use ipnet::IpNet;

use crate::accounts::is_reserved;
use crate::config::TenantSource;
use crate::connections::is_trusted;
use crate::problem::{Code, Problem};
use crate::state::ApiState;

const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
const KB: HeaderName = HeaderName::from_static("x-kb-id");

/// The tenant that the request names; `None` when its credentials decide.
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

/// The value of the path parameter `name`.
async fn names_in_path(parts: &mut Parts, name: &str) -> Result<Vec<String>, Problem> {
    let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Problem::not_found())?;
    Ok(path.iter().filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect())
}

/// The values of all headers called `name`.
fn names_in_header(parts: &Parts, name: &HeaderName) -> Vec<String> {
    let values = parts.headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// Path and headers do not name the same tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("path and headers name different things")]
pub struct Conflict;

/// The one name that path, header and host agree on; `None` when none of them names a tenant.
///
/// It compares texts and looks nothing up, so that a conflict does not reveal which names exist.
///
/// # Errors
/// When two of them disagree.
pub fn one_name<'a>(places: impl IntoIterator<Item = &'a str>) -> Result<Option<&'a str>, Conflict> {
    let mut places = places.into_iter();
    let first = places.next();
    if places.all(|place| Some(place) == first) { Ok(first) } else { Err(Conflict) }
}

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A host name in lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host(String);

/// Why the requested host cannot be determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostFault {
    /// There are two, or the value is not text.
    #[error("the request names no host, or several: send one Host header")]
    Unreadable,
    /// Any client could name another tenant this way.
    #[error("X-Forwarded-Host is only taken from proxies that TENANTRY_TRUSTED_PROXIES names")]
    Untrusted,
}

impl Host {
    /// The host of a request: as a trusted proxy forwards it, else as the client sent it.
    pub(crate) fn of(parts: &Parts, trusted: &[IpNet]) -> Result<Option<Self>, HostFault> {
        if let Some(forwarded) = only(parts, &FORWARDED_HOST)? {
            return if comes_from(parts, trusted) {
                Ok(Some(Self::read(forwarded)))
            } else {
                Err(HostFault::Untrusted)
            };
        }
        let sent = only(parts, &header::HOST)?.or_else(|| parts.uri.host());
        Ok(sent.map(Self::read))
    }

    fn read(text: &str) -> Self {
        let without_port = match text.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => text,
        };
        Self(without_port.trim_end_matches('.').to_ascii_lowercase())
    }

    /// What stands in front of `base`; `None` when the host is `base` itself or another domain's.
    pub(crate) fn label_of(&self, base: &str) -> Option<&str> {
        self.0.strip_suffix(base)?.strip_suffix('.')
    }
}

fn only<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, HostFault> {
    let mut values = parts.headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(HostFault::Unreadable);
    }
    first.map(|value| value.to_str().map_err(|_| HostFault::Unreadable)).transpose()
}

fn comes_from(parts: &Parts, trusted: &[IpNet]) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| is_trusted(peer.ip(), trusted))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn all_places_must_agree() {
        assert_eq!(one_name([]), Ok(None));
        assert_eq!(one_name(["acme"]), Ok(Some("acme")));
        assert_eq!(one_name(["acme", "acme", "acme"]), Ok(Some("acme")));
        assert_eq!(one_name(["acme", "Acme"]), Err(Conflict));
        assert_eq!(one_name(["acme", "acme", ""]), Err(Conflict));
    }

    fn host(headers: &[(&str, &str)], peer: &str, trusted: &str) -> Result<Option<String>, HostFault> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        Ok(Host::of(&parts, &[trusted.parse().unwrap()])?.map(|host| host.0))
    }

    #[test]
    fn a_host_is_read_without_its_port() {
        let sent = |value| host(&[("host", value)], "10.0.0.1", "192.0.2.0/24").unwrap().unwrap();
        assert_eq!(sent("Acme.Example.com:8080"), "acme.example.com");
        assert_eq!(sent("acme.example.com."), "acme.example.com");
        assert_eq!(sent("[::1]:8080"), "[::1]");
        assert_eq!(host(&[], "10.0.0.1", "192.0.2.0/24"), Ok(None));
    }

    #[test]
    fn only_a_trusted_proxy_may_forward_another_host() {
        let forwarded = [("host", "inside"), ("x-forwarded-host", "acme.example.com")];
        let acme = Ok(Some("acme.example.com".to_owned()));
        assert_eq!(host(&forwarded, "192.0.2.7", "192.0.2.0/24"), acme);
        assert_eq!(host(&forwarded, "::ffff:192.0.2.7", "192.0.2.0/24"), acme);
        assert_eq!(host(&forwarded, "198.51.100.7", "192.0.2.0/24"), Err(HostFault::Untrusted));
        let twice = [("host", "a.example.com"), ("host", "b.example.com")];
        assert_eq!(host(&twice, "192.0.2.7", "192.0.2.0/24"), Err(HostFault::Unreadable));
    }

    #[test]
    fn the_label_in_front_of_the_base_domain_names_a_tenant() {
        let label = |text: &str| Host::read(text).label_of("example.com").map(str::to_owned);
        assert_eq!(label("acme.example.com").as_deref(), Some("acme"));
        assert_eq!(label("a.b.example.com").as_deref(), Some("a.b"));
        for other in ["example.com", "notexample.com", "acme.example.com.evil.net", "localhost"] {
            assert_eq!(label(other), None, "{other}");
        }
    }
}
