use jobs::tenant::TenantId;

/// Why a text cannot be the id of a tenant that signs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlugFault {
    /// It could not be part of a host name, or looks like an encoded name.
    #[error("expected 3 to 63 of a-z, 0-9 and -, neither first nor last a -, and not -- as third and fourth")]
    Shape,
    /// It is reserved for the installation.
    #[error("this name is reserved: choose another")]
    Reserved,
}

/// Names that could be taken for the installation's own, as a host name or in a mail.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "abuse", "account", "accounts", "admin", "administrator", "api", "app", "assets", "auth", "autoconfig",
    "autodiscover", "billing", "blog", "cdn", "console", "dashboard", "default", "dev", "dns", "docs",
    "email", "files", "ftp", "graphql", "health", "healthz", "help", "hostmaster", "imap", "internal",
    "kb", "localhost", "login", "logout", "mail", "metrics", "mx", "no-reply", "noreply", "ns1", "ns2",
    "null", "oauth", "oidc", "openid", "operator", "pop3", "postmaster", "private", "prod", "production",
    "public", "readyz", "root", "saml", "security", "server", "signin", "signup", "smtp", "sso", "staging",
    "static", "status", "support", "system", "tenant", "tenantry", "tenants", "undefined", "user", "users",
    "webmaster", "wpad", "www",
];

/// Reads the id that a person chose for their tenant. It becomes part of a host name, so nothing is folded or
/// corrected: what looks like another name is refused.
///
/// # Errors
/// When it cannot be one.
pub fn slug(text: &str) -> Result<TenantId, SlugFault> {
    let encoded = text.as_bytes().get(2..4) == Some(b"--");
    if text.len() < 3 || encoded {
        return Err(SlugFault::Shape);
    }
    let id = text.parse().map_err(|_| SlugFault::Shape)?;
    if is_reserved(text) { Err(SlugFault::Reserved) } else { Ok(id) }
}

/// Whether a name is kept for the installation.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_fits_into_a_host_name() {
        for good in ["abc", "acme-2", "0-0", "a--b", &"a".repeat(63)] {
            assert_eq!(slug(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "a",
            "ab",
            &long,
            "Acme",
            "-acme",
            "acme-",
            "ac me",
            "acme.",
            "a.b",
            "acme\n",
            "acme\0",
            "аcme",
            "ａｃｍｅ",
            "acmé",
            "xn--acme",
            "ab--cd",
            "acme'--",
            "acme;drop",
            "{$ne:1}",
            "a/../b",
            "%61cme",
        ] {
            assert_eq!(slug(bad), Err(SlugFault::Shape), "{bad:?}");
        }
    }

    #[test]
    fn reserved_names_are_refused() {
        assert!(RESERVED.is_sorted(), "they are searched by halves");
        for name in ["admin", "www", "api", "signup", "tenantry"] {
            assert_eq!(slug(name), Err(SlugFault::Reserved), "{name}");
        }
        assert!(slug("www2").is_ok());
    }
}
