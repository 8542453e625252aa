//! Where a page of relations ends: two names that may contain any character, as one text.

/// The cursor of the relation from `source` to `target`.
pub(crate) fn relation_cursor(source: &str, target: &str) -> String {
    serde_json::json!([source, target]).to_string()
}

/// The two names of a cursor; `None` when the text is none.
pub(crate) fn relation_cursor_parse(cursor: &str) -> Option<(String, String)> {
    serde_json::from_str(cursor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_names_survive() {
        for (source, target) in [("a", "b"), ("a,b\"", "<SEP>\n"), ("", "é")] {
            let cursor = relation_cursor(source, target);
            assert_eq!(relation_cursor_parse(&cursor), Some((source.into(), target.into())));
        }
        assert_eq!(relation_cursor_parse("a<SEP>b"), None);
        assert_eq!(relation_cursor_parse("[\"a\"]"), None);
    }
}
