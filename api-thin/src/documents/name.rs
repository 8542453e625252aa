use std::fmt;
use std::str::FromStr;

use jobs::DocumentId;
use unicode_normalization::UnicodeNormalization as _;

/// The name of a document: a relative path with forward slashes, in Unicode normalisation form C, so that the
/// same name typed on two machines is the same document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentName(String);

/// Why a text is not the name of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing.
    #[error("a document needs a name, such as guide.md or manuals/guide.md")]
    Empty,
    /// More than [`DocumentName::MAX_BYTES`].
    #[error("the name has more than {} bytes", DocumentName::MAX_BYTES)]
    TooLong,
    /// Line ends, NUL, or characters that make a name look like another one.
    #[error("the name has control characters")]
    Control,
    /// `/etc/passwd`, `C:/x`.
    #[error("the name is an absolute path: leave out what stands before the folder you upload")]
    Absolute,
    /// `a\b`.
    #[error("the name has backslashes: write folders with forward slashes")]
    Backslash,
    /// `..`, `.`, `a//b`, `a/`.
    #[error("the name has a part that is empty, `.` or `..`")]
    Part,
    /// Starts or ends with white space.
    #[error("a part of the name starts or ends with white space")]
    Space,
    /// The graph joins names with it.
    #[error("the name contains `<SEP>`, which separates names in the graph")]
    Separator,
}

impl DocumentName {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 512;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the document with this name.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        DocumentId::of_name(&self.0)
    }
}

impl FromStr for DocumentName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // Checked before it is normalised too: nothing long is worth the work.
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        let name: String = text.nfc().collect();
        check(&name).map(|()| Self(name))
    }
}

fn check(name: &str) -> Result<(), InvalidName> {
    let is_drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    let parts = || name.split('/');
    match () {
        () if name.is_empty() => Err(InvalidName::Empty),
        () if name.len() > DocumentName::MAX_BYTES => Err(InvalidName::TooLong),
        () if name.chars().any(is_invisible) => Err(InvalidName::Control),
        () if name.contains('\\') => Err(InvalidName::Backslash),
        () if name.starts_with('/') || is_drive => Err(InvalidName::Absolute),
        () if parts().any(|part| matches!(part, "" | "." | "..")) => Err(InvalidName::Part),
        () if parts().any(|part| part.trim() != part) => Err(InvalidName::Space),
        () if name.contains("<SEP>") => Err(InvalidName::Separator),
        () => Ok(()),
    }
}

/// Control characters, line separators, and the marks that turn the direction of text around.
fn is_invisible(c: char) -> bool {
    let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> InvalidName {
        text.parse::<DocumentName>().expect_err(text)
    }

    #[test]
    fn ordinary_names_are_kept() {
        for good in
            ["a", "guide.md", "manuals/2024/guide v2.md", "Bücher/日本語.txt", "..a/b..", "a..b", ".env.md"]
        {
            assert_eq!(good.parse::<DocumentName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn path_tricks_are_refused() {
        for up in ["..", "../x.md", "a/../../x.md", "a/..", "a/./b", ".", "a//b", "a/", "./a.md"] {
            assert_eq!(refusal(up), InvalidName::Part, "{up}");
        }
        for absolute in ["/etc/passwd", "//host/share", "C:/x.md", "c:x.md"] {
            assert_eq!(refusal(absolute), InvalidName::Absolute, "{absolute}");
        }
        for windows in ["..\\..\\x.md", "C:\\x.md", "a\\b"] {
            assert_eq!(refusal(windows), InvalidName::Backslash, "{windows}");
        }
    }

    #[test]
    fn names_that_lie_or_break_lines_are_refused() {
        for bad in ["a\nb.md", "a\0.md", "\u{202e}dm.a", "a\u{2028}b", "\u{feff}a.md", "a\r.md", "a\u{85}b"] {
            assert_eq!(refusal(bad), InvalidName::Control, "{bad:?}");
        }
        assert_eq!(refusal(""), InvalidName::Empty);
        assert_eq!(refusal(" a.md"), InvalidName::Space);
        assert_eq!(refusal("a /b.md"), InvalidName::Space);
        assert_eq!(refusal("a<SEP>b.md"), InvalidName::Separator);
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!("a".repeat(512).parse::<DocumentName>().is_ok());
        assert_eq!(refusal(&"a".repeat(513)), InvalidName::TooLong);
        assert_eq!(refusal(&"é".repeat(257)), InvalidName::TooLong);
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_document() {
        let composed: DocumentName = "caf\u{e9}.md".parse().unwrap();
        let decomposed: DocumentName = "cafe\u{301}.md".parse().unwrap();
        assert_eq!(composed.document_id(), decomposed.document_id());
    }
}
