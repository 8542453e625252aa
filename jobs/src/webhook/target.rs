//! Which URLs and addresses a webhook may go to.
//!
//! The URL is checked when an endpoint is made, and again before each attempt together with the addresses that its name
//! has at that moment: a name can be given another address at any time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::url::{Host, Url};

/// The longest URL, in bytes.
const URL_MAX: usize = 2_048;

/// Where webhooks may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRules {
    /// The ports that a target may name.
    pub ports: Vec<u16>,
    /// Whether this machine itself may be a target, at any port and without TLS: for development and tests.
    pub loopback: bool,
}

impl Default for TargetRules {
    fn default() -> Self {
        Self { ports: vec![443, 8443], loopback: false }
    }
}

/// The URL of an endpoint that was checked against [`TargetRules`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// The URL, normalised.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// A URL or an address that a webhook may not go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not a URL with a host.
    #[error("expected a URL such as https://example.com/hooks")]
    Malformed,
    /// More than 2,048 bytes.
    #[error("the URL has more than {URL_MAX} bytes")]
    TooLong,
    /// Neither `https`, nor `http` where that is allowed.
    #[error("the URL must begin with https://")]
    Scheme,
    /// User and password in the URL would be in logs of proxies and servers.
    #[error("the URL names a user or a password: the signature proves who sends the webhook")]
    Credentials,
    /// A fragment is never sent.
    #[error("the URL has a fragment (#…), which is never sent")]
    Fragment,
    /// None of the allowed ports.
    #[error("port {port} is none of those that webhooks may go to ({allowed})")]
    Port {
        /// The port of the URL.
        port: u16,
        /// Those that are allowed.
        allowed: String,
    },
    /// An address that only this network, or this machine, knows.
    #[error("{0} is no public address")]
    Address(IpAddr),
    /// A name for this machine.
    #[error("the host is this machine, which is no target for webhooks")]
    ThisMachine,
}

impl InvalidTarget {
    /// Stable code, for delivery logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::ThisMachine => "address_refused",
            _ => "url_refused",
        }
    }
}

impl TargetRules {
    /// Reads the URL of an endpoint.
    ///
    /// # Errors
    /// When a webhook may not go there.
    pub fn check(&self, text: &str) -> Result<Target, InvalidTarget> {
        if text.len() > URL_MAX {
            return Err(InvalidTarget::TooLong);
        }
        let url = Url::parse(text).map_err(|_| InvalidTarget::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTarget::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        if url.fragment().is_some() {
            return Err(InvalidTarget::Fragment);
        }
        let is_this_machine = match url.host().ok_or(InvalidTarget::Malformed)? {
            Host::Domain(name) => is_localhost(name),
            Host::Ipv4(address) => self.of_address(address.into())?,
            Host::Ipv6(address) => self.of_address(address.into())?,
        };
        if is_this_machine {
            return if self.loopback { Ok(Target(url)) } else { Err(InvalidTarget::ThisMachine) };
        }
        if url.scheme() != "https" {
            return Err(InvalidTarget::Scheme);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if self.ports.contains(&port) {
            return Ok(Target(url));
        }
        let allowed = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        Err(InvalidTarget::Port { port, allowed })
    }

    /// Checks an address before a connection to it is opened.
    ///
    /// # Errors
    /// When it is not public.
    pub fn check_address(&self, address: IpAddr) -> Result<(), InvalidTarget> {
        self.of_address(address).map(drop)
    }

    /// Whether the address is this machine's own, where that is allowed.
    fn of_address(&self, address: IpAddr) -> Result<bool, InvalidTarget> {
        match (self.loopback && address.is_loopback(), is_public(address)) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(InvalidTarget::Address(address)),
        }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Networks of IPv4 that are not reachable from everywhere, or stand for something local (IANA's special-purpose
/// registry).
const LOCAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Metadata services of clouds among them.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
    // Azure's virtual machines reach their host here, although the address looks public.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(network, bits): &(Ipv4Addr, u32)| {
        let mask = u32::MAX << (32 - bits);
        address.to_bits() & mask == network.to_bits()
    };
    !LOCAL_V4.iter().any(is_in)
}

/// Networks of IPv6 inside `2000::/3` that are not public, or that carry an address of IPv4 which would pass unseen.
const LOCAL_V6: [(Ipv6Addr, u32); 5] = [
    // Teredo, ORCHID, benchmarks.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Only what IANA has given out as global unicast: this leaves out loopback, mapped and compatible addresses of IPv4,
/// NAT64, link-local, unique local and multicast.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_in = |(network, bits): &(Ipv6Addr, u32)| {
        let mask = u128::MAX << (128 - bits);
        address.to_bits() & mask == network.to_bits()
    };
    is_in(&(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)) && !LOCAL_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        let rules = TargetRules::default();
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]
        {
            assert_eq!(rules.check_address(public.parse().unwrap()), Ok(()), "{public}");
        }
        for local in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = local.parse().unwrap();
            assert_eq!(rules.check_address(address), Err(InvalidTarget::Address(address)), "{local}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_a_target_is_told_why() {
        let rules = TargetRules::default();
        assert_eq!(rules.check("https://example.com").unwrap().url().as_str(), "https://example.com/");
        assert!(rules.check("https://example.com:8443/hooks?key=1").is_ok());
        for (url, code) in [
            ("example.com", "url_refused"),
            ("http://example.com/", "url_refused"),
            ("ftp://example.com/", "url_refused"),
            ("https://user@example.com/", "url_refused"),
            ("https://:secret@example.com/", "url_refused"),
            ("https://example.com/#part", "url_refused"),
            ("https://example.com:22/", "url_refused"),
            ("https://localhost/", "address_refused"),
            ("https://api.LOCALHOST./", "address_refused"),
            ("https://127.1/", "address_refused"),
            ("https://2130706433/", "address_refused"),
            ("https://0x7f000001/", "address_refused"),
            ("https://0251.0376.0251.0376/", "address_refused"),
            ("https://[::ffff:a00:1]/", "address_refused"),
            ("https://[fe80::1]/", "address_refused"),
            ("https://①⑥⑨.254.169.254/", "address_refused"),
        ] {
            assert_eq!(rules.check(url).map_err(|error| error.code()), Err(code), "{url}");
        }
        assert_eq!(
            rules.check(&format!("https://example.com/{}", "a".repeat(2_048))),
            Err(InvalidTarget::TooLong)
        );
    }

    #[test]
    fn this_machine_is_a_target_only_where_that_is_allowed() {
        let rules = TargetRules { loopback: true, ..TargetRules::default() };
        for url in
            ["http://127.0.0.1:3000/", "http://localhost:3000/", "http://[::1]:80/", "https://localhost/"]
        {
            assert!(rules.check(url).is_ok(), "{url}");
        }
        for url in
            ["http://10.0.0.1/", "http://example.com/", "https://[::ffff:127.0.0.1]/", "https://169.254.1.1/"]
        {
            assert!(rules.check(url).is_err(), "{url}");
        }
        assert_eq!(rules.check_address("127.0.0.1".parse().unwrap()), Ok(()));
        assert!(rules.check_address("10.0.0.1".parse().unwrap()).is_err());
    }
}
