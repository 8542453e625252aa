use std::fmt;
use std::str::FromStr;

/// Where a page of relations ends: two names that may contain any character, as one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationCursor {
    /// The end of the last relation whose name sorts first.
    pub source: String,
    /// The other end.
    pub target: String,
}

/// A text that is not where a page of relations ended.
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
mod tests {
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
