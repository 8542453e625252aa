//! Word lists.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A set of words from a file.
pub(super) struct Words(LazyLock<HashSet<&'static str>>);

impl Words {
    pub(super) fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub(super) static $name: Words =
            Words(LazyLock::new(|| {
                include_str!(concat!("words/", $file, ".txt")).split_whitespace().collect()
            }));)*
    };
}

words! {
    /// English words that carry grammar, not content.
    FUNCTION = "function";
    /// The same for other languages; some are parts of English names ("Los").
    FUNCTION_OTHER = "function_other";
    /// Words that often begin English sentences and headings and name nothing.
    COMMON = "common";
    CALENDAR = "calendar";
    /// Verbs and the like that only a name has before it: "Redis is", "Acme builds".
    VERBS = "verbs";
    /// First parts of ordinary hyphenated words.
    COMPOUND_FIRST = "compound_first";
    /// Last parts of ordinary hyphenated words.
    COMPOUND_LAST = "compound_last";
    /// Parts that ordinary hyphenated words do not have.
    COMPOUND_TECHNICAL = "compound_technical";
    GIVEN_NAMES = "given_names";
    PLACES = "places";
}

static TECHNOLOGIES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    include_str!("words/technologies.txt")
        .split_whitespace()
        .map(|name| (name.to_lowercase(), name))
        .collect()
});

/// The usual spelling of a well-known technology, by its lower-case form.
pub(super) fn technology(key: &str) -> Option<&'static str> {
    TECHNOLOGIES.get(key).copied()
}

static HEADS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut kind = "";
    let words =
        include_str!("words/heads.txt").split_whitespace().filter_map(|word| match word.strip_suffix(':') {
            Some(name) => {
                kind = name;
                None
            }
            None => Some((word, kind)),
        });
    words.collect()
});

/// The type of what such a word names: a "bank" is an "organization".
pub(super) fn head(word: &str) -> Option<&'static str> {
    HEADS.get(word).copied()
}

/// Lower-case words inside a name: "University of the Arts", "Ludwig van Beethoven".
pub(super) const CONNECTORS: [&str; 21] = [
    "al", "and", "bin", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "ibn", "la", "le",
    "of", "the", "van", "von", "y",
];

/// Whether a lower-case word says something by itself.
pub(super) fn is_content(word: &str) -> bool {
    !FUNCTION.contains(word) && !FUNCTION_OTHER.contains(word)
}
