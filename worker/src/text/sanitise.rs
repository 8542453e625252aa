//! The clean-up LightRAG applies to every text before it chunks it.

use std::borrow::Cow;

/// Decodes HTML character references, drops control characters other than tab and line ends, and trims.
pub(crate) fn sanitise_plain(text: &str) -> String {
    clean(&html_escape::decode_html_entities(text))
}

/// Drops control characters other than tab and line ends, and trims. For text whose references are decoded
/// already.
pub(super) fn clean(text: &str) -> String {
    let kept: Cow<'_, str> = if text.contains(is_dropped) {
        Cow::Owned(text.chars().filter(|&c| !is_dropped(c)).collect())
    } else {
        Cow::Borrowed(text)
    };
    strip(&kept).to_owned()
}

/// Python's `str.strip()`, which also strips the four separators that Rust does not count as white space.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn is_dropped(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}
