/// Path and headers do not name the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("path and headers name different things")]
pub struct Conflict;

/// The one name that all places agree on, `None` when no place names anything.
///
/// It compares texts and looks nothing up, so that a conflict says nothing about which names exist.
///
/// # Errors
/// When two places disagree.
pub fn one_name<'a>(places: impl IntoIterator<Item = &'a str>) -> Result<Option<&'a str>, Conflict> {
    let mut places = places.into_iter();
    let first = places.next();
    if places.all(|place| Some(place) == first) { Ok(first) } else { Err(Conflict) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_places_must_agree() {
        assert_eq!(one_name([]), Ok(None));
        assert_eq!(one_name(["acme"]), Ok(Some("acme")));
        assert_eq!(one_name(["acme", "acme", "acme"]), Ok(Some("acme")));
        assert_eq!(one_name(["acme", "Acme"]), Err(Conflict));
        assert_eq!(one_name(["acme", "acme", ""]), Err(Conflict));
    }
}
