//! URLs of servers, as far as they may be shown.

/// `url` without user, password and options, which may hold a password too. Nothing at all is shown of a text that is
/// no
/// URL.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    url.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// One URL, or another `host:port` of a list.
fn one(url: &str) -> String {
    let url = url.trim();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let is_place = !scheme.is_empty() || place.contains(':');
    match (is_place, scheme) {
        (false, _) => "(no URL)".to_owned(),
        (true, "") => place.to_owned(),
        (true, scheme) => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out() {
        for (url, shown) in [
            ("redis://:s3cret@a:6379/2", "redis://a:6379/2"),
            ("redis://host", "redis://host"),
            ("redis+cluster://u:s3cret@a:7000, b:7001", "redis+cluster://a:7000,b:7001"),
            ("redis://:s3cret@a:1,redis://:s3cret@b:2", "redis://a:1,redis://b:2"),
            ("redis+unix:///run/redis.sock?pass=s3cret", "redis+unix:///run/redis.sock"),
            ("postgres://app:s3@cret@db:5432/tenantry?password=s3cret", "postgres://db:5432/tenantry"),
            ("s3cret", "(no URL)"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
