//! How many connections there may be, and how long each may be silent.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::api::InvalidConfig;

const MAX_CONNECTIONS: &str = "TENANTRY_MAX_CONNECTIONS";
const RESERVED_HANDLES: &str = "TENANTRY_RESERVED_HANDLES";

/// How many connections there may be, and how long they may keep us waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most at once; `None`: as many as the process may open, less the reserve, and at most
    /// [`Self::USUAL_CONNECTIONS`].
    pub connections: Option<usize>,
    /// The most at once from one address (from one /64 of IPv6).
    pub per_address: usize,
    /// How many handles are kept for stores, originals and Redis; `None`: [`Self::USUAL_RESERVE`], or half of what
    /// the process may open if that is less.
    pub reserved_handles: Option<usize>,
    /// How long the headers of a request may take, the first ones from the moment the connection is made.
    pub header_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// How long a client may take nothing of an answer, and how long it may take at all before 1 KiB a second is asked
    /// for.
    pub answer_time: Duration,
}

impl ConnectionLimits {
    /// The most connections where nothing is set and the process may open enough.
    pub const USUAL_CONNECTIONS: usize = 10_000;
    /// Handles reserved for stores, originals and Redis: 64 open tenants of embedded stores take about 500.
    pub const USUAL_RESERVE: usize = 1_024;
    /// With fewer the API is of no use.
    const LEAST: usize = 16;

    /// For a listener with few clients, such as a health check: with so few handles it needs no reserve.
    #[must_use]
    pub fn of_health_checks() -> Self {
        Self {
            connections: Some(64),
            per_address: 64,
            reserved_handles: Some(0),
            header_time: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// How many connections there may be. Raises the limit of open files as far as the process may.
    pub(crate) fn fit(&self) -> Result<usize, InvalidConfig> {
        self.fit_into(raise_limit())
    }

    fn fit_into(&self, handles: usize) -> Result<usize, InvalidConfig> {
        let reserve = self.reserved_handles.unwrap_or(Self::USUAL_RESERVE.min(handles / 2));
        let room = handles.saturating_sub(reserve);
        let problem = |what: String| {
            format!(
                "{what}: the process may open {handles} files, of which {reserve} are kept for stores and Redis; \
                 raise its hard limit (`ulimit -Hn`, LimitNOFILE= of systemd) or set {MAX_CONNECTIONS} to at \
                 most {room}"
            )
        };
        match self.connections {
            Some(connections) if connections > room => {
                let what = format!("{connections} connections do not fit");
                Err(InvalidConfig::new(MAX_CONNECTIONS, problem(what)))
            }
            Some(connections) => Ok(connections),
            None if room < Self::LEAST => {
                let problem = format!(
                    "{reserve} of the {handles} files that the process may open leave too few for connections; \
                     set at most {}, or raise its hard limit (`ulimit -Hn`, LimitNOFILE= of systemd)",
                    handles.saturating_sub(Self::LEAST)
                );
                Err(InvalidConfig::new(RESERVED_HANDLES, problem))
            }
            None => Ok(room.min(Self::USUAL_CONNECTIONS)),
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: None,
            per_address: 1_000,
            reserved_handles: None,
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            answer_time: Duration::from_secs(30),
        }
    }
}

/// How many connections there may be, and how long they may take, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct ConnectionSettings {
    /// The most connections at once. By default as many as the process may open files, less the reserve, and at
    /// most 10000. Beyond it, connections without credentials are closed to make room.
    #[arg(long, env = "TENANTRY_MAX_CONNECTIONS", value_name = "COUNT")]
    pub max_connections: Option<NonZeroU32>,
    /// The most connections at once from one address; those of `TENANTRY_TRUSTED_PROXIES` are not counted.
    #[arg(long, env = "TENANTRY_MAX_CONNECTIONS_PER_ADDRESS", default_value = "1000", value_name = "COUNT")]
    pub max_connections_per_address: NonZeroU32,
    /// How many open files are kept for stores, originals and Redis. By default 1024, or half of what the process
    /// may open.
    #[arg(long, env = "TENANTRY_RESERVED_HANDLES", value_name = "COUNT")]
    pub reserved_handles: Option<u32>,
    /// How long the headers of a request may take, in seconds.
    #[arg(long, env = "TENANTRY_HEADER_TIMEOUT_S", default_value = "10", value_name = "SECONDS")]
    pub header_timeout_s: NonZeroU32,
    /// How long a connection may wait for its next request, in seconds. Longer than a proxy in front keeps it.
    #[arg(long, env = "TENANTRY_IDLE_TIMEOUT_S", default_value = "75", value_name = "SECONDS")]
    pub idle_timeout_s: NonZeroU32,
}

impl ConnectionSettings {
    /// The limits.
    #[must_use]
    pub fn limits(&self) -> ConnectionLimits {
        let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let seconds = |value: NonZeroU32| Duration::from_secs(value.get().into());
        ConnectionLimits {
            connections: self.max_connections.map(|most| count(most.get())),
            per_address: count(self.max_connections_per_address.get()),
            reserved_handles: self.reserved_handles.map(count),
            header_time: seconds(self.header_timeout_s),
            idle_time: seconds(self.idle_timeout_s),
            ..ConnectionLimits::default()
        }
    }
}

/// Raises the limit as far as the process may raise it by itself, and returns it. Programs begin with a lower one
/// for the sake of `select`, which nothing here uses.
pub(crate) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // The system may refuse the limit that it reports as the hard one: the current limit stays then.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    limit.map_or(usize::MAX, |handles| usize::try_from(handles).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        connections: ConnectionSettings,
    }

    fn limits(arguments: &[&str]) -> ConnectionLimits {
        Line::parse_from(std::iter::once(&"x").chain(arguments)).connections.limits()
    }

    #[test]
    fn the_usual_limits_are_the_defaults() {
        assert_eq!(limits(&[]), ConnectionLimits::default());
    }

    #[test]
    fn connections_leave_the_reserve_alone() {
        let usual = ConnectionLimits::default();
        assert_eq!(usual.fit_into(1_000_000).unwrap(), 10_000);
        assert_eq!(usual.fit_into(4_096).unwrap(), 3_072);
        assert_eq!(usual.fit_into(1_024).unwrap(), 512);
        assert_eq!(limits(&["--max-connections", "3000"]).fit_into(4_096).unwrap(), 3_000);
        assert_eq!(limits(&["--reserved-handles", "96"]).fit_into(1_096).unwrap(), 1_000);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_would() {
        let error = limits(&["--max-connections", "4000"]).fit_into(4_096).unwrap_err();
        assert_eq!(error.setting, MAX_CONNECTIONS);
        for part in ["4000 connections", "4096 files", "1024 are kept", "at most 3072"] {
            assert!(error.problem.contains(part), "{part} is not in: {}", error.problem);
        }
        let error = limits(&["--reserved-handles", "1020"]).fit_into(1_024).unwrap_err();
        assert_eq!(error.setting, RESERVED_HANDLES);
        assert!(error.problem.contains("at most 1008"), "{}", error.problem);
        assert!(Line::try_parse_from(["x", "--max-connections", "0"]).is_err());
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let handles = raise_limit();
        assert!(handles >= 256, "{handles}");
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raise_limit(), handles);
    }
}
