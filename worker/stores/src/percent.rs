//! Percent-encoding in the user part of a server's URL.

/// Decodes `%40` and the like; `None` when the result is not UTF-8 or a digit is missing.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// User and password of `scheme://user:password@host`, decoded; both empty when there are none.
pub(crate) fn credentials(url: &str) -> Option<(String, String)> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let (credentials, _) = authority.rsplit_once('@').unwrap_or_default();
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    Some((decoded(user)?, decoded(password)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_the_url() {
        for (url, expected) in [
            ("postgres://app:secret@host:5432/db", Some(("app", "secret"))),
            ("postgres://app:p%40ss%2Fw%3A@host/db?sslmode=disable", Some(("app", "p@ss/w:"))),
            ("bolt://neo4j@host", Some(("neo4j", ""))),
            ("bolt://host:7687", Some(("", ""))),
            ("bolt://a:%zz@host", None),
            ("host", None),
        ] {
            let found = credentials(url);
            let found = found.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            assert_eq!(found, expected, "{url}");
        }
    }
}
