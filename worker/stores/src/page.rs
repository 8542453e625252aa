//! Pages of long lists, and their cursors.

use std::fmt;
use std::str::FromStr;

/// One page of a list, and the cursor of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in a fixed order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// The largest page.
const LIMIT_MAX: u32 = 1_000;

/// Rows to query for a page of `limit`: one more, so that the page knows whether another follows.
pub(crate) fn rows_for(limit: u32) -> u32 {
    limit.clamp(1, LIMIT_MAX) + 1
}

/// The page of `limit` from `items`, which were queried with [`rows_for`].
pub(crate) fn cut<T>(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
    let shown = limit.clamp(1, LIMIT_MAX) as usize;
    let more = items.len() > shown;
    items.truncate(shown);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

/// The cursor of a page of relations: two names that may contain any character, as one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationCursor {
    /// The end of the last relation whose name sorts first.
    pub source: String,
    /// The other end.
    pub target: String,
}

/// A text that is not a cursor of relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the `next` of a page of relations")]
pub struct InvalidRelationCursor;

impl fmt::Display for RelationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde_json::json!([self.source, self.target]).fmt(f)
    }
}

impl FromStr for RelationCursor {
    type Err = InvalidRelationCursor;

    fn from_str(text: &str) -> Result<Self, InvalidRelationCursor> {
        let (source, target) = serde_json::from_str(text).map_err(|_| InvalidRelationCursor)?;
        Ok(Self { source, target })
    }
}

#[cfg(test)]
mod page_tests {
    use super::*;

    #[test]
    fn the_last_page_says_so() {
        let page = |rows: Vec<u32>, limit| {
            let page = cut(rows, limit, ToString::to_string);
            (page.items, page.next)
        };
        assert_eq!(page(vec![1, 2, 3], 2), (vec![1, 2], Some("2".into())));
        assert_eq!(page(vec![1, 2], 2), (vec![1, 2], None));
        assert_eq!(page(vec![], 2), (vec![], None));
        assert_eq!(page(vec![1, 2], 0), (vec![1], Some("1".into())));
        assert_eq!((rows_for(0), rows_for(2), rows_for(u32::MAX)), (2, 3, 1_001));
    }
}

#[cfg(test)]
mod relation_cursor_tests {
    use super::*;

    #[test]
    fn any_two_names_survive() {
        for (source, target) in [("a", "b"), ("a,b\"", "<SEP>\n"), ("", "é")] {
            let cursor = RelationCursor { source: source.into(), target: target.into() };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "a<SEP>b", "[\"a\"]", "no cursor"] {
            assert_eq!(bad.parse::<RelationCursor>(), Err(InvalidRelationCursor), "{bad}");
        }
    }
}
