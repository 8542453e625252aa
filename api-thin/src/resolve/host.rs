//! The host name that the client asked for.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use ipnet::IpNet;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A host name in lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host(String);

/// Why it cannot be told which host was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostFault {
    /// There are two, or one that is not text.
    #[error("the request names no host, or several: send one Host header")]
    Unreadable,
    /// Anybody could ask for another tenant this way.
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

/// Whether an address is that of a trusted proxy.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    // A listener on `::` shows clients of IPv4 as addresses of IPv6.
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

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
