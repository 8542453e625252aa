//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the process may raise it by itself, and returns it. Programs begin with a lower one
/// for the sake of `select`, which nothing here uses.
pub(super) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // Refused where the system's own limit is lower than what it calls the hard one: the limit of before stays.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    limit.map_or(usize::MAX, |handles| usize::try_from(handles).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let handles = raise_limit();
        assert!(handles >= 256, "{handles}");
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raise_limit(), handles);
    }
}
