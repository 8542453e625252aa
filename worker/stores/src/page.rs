//! Cutting long lists into pages.

use crate::model::Page;

/// The largest page.
const LIMIT_MAX: u32 = 1_000;

/// How many rows to ask for so that a page of `limit` knows whether another follows: one more than it shows.
pub(crate) fn rows_for(limit: u32) -> u32 {
    limit.clamp(1, LIMIT_MAX) + 1
}

/// A page of at most `limit` of `items`, which are what [`rows_for`] asked for.
pub(crate) fn cut<T>(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
    let shown = limit.clamp(1, LIMIT_MAX) as usize;
    let more = items.len() > shown;
    items.truncate(shown);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

#[cfg(test)]
mod tests {
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
