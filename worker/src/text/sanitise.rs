//! The clean-up LightRAG applies to every text before it chunks it.

use std::borrow::Cow;

use crate::compute::{Stopped, Turn};

/// How much text is cleaned at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// The longest name of an HTML character reference has 33 characters.
const REFERENCE_BYTES: usize = 40;

/// Decodes HTML character references, drops control characters other than white space, and trims. For short texts.
pub(crate) fn sanitise_plain(text: &str) -> String {
    strip(&cleaned(&html_escape::decode_html_entities(text))).to_owned()
}

/// The same for a whole document.
pub(super) fn sanitise_document(text: &str, turn: &Turn) -> Result<String, Stopped> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        turn.check(piece.len())?;
        out.push_str(&cleaned(&html_escape::decode_html_entities(piece)));
    }
    Ok(stripped(out))
}

/// Drops control characters other than white space, and trims. For text whose references are decoded already.
pub(super) fn clean(text: String, turn: &Turn) -> Result<String, Stopped> {
    let mut is_clean = true;
    for piece in pieces(&text) {
        turn.check(piece.len())?;
        is_clean &= matches!(cleaned(piece), Cow::Borrowed(_));
    }
    if is_clean {
        return Ok(stripped(text));
    }
    let mut out = String::with_capacity(text.len());
    for piece in pieces(&text) {
        turn.check(piece.len())?;
        out.push_str(&cleaned(piece));
    }
    Ok(stripped(out))
}

fn cleaned(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| is_dropped(c) || is_space(c)) {
        let kept = text.chars().filter(|&c| !is_dropped(c));
        Cow::Owned(kept.map(|c| if is_space(c) { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Python's `str.strip()`, which also strips the four separators that Rust does not count as white space.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn stripped(mut text: String) -> String {
    let kept = strip(&text);
    let (length, start) = (kept.len(), text.len() - text.trim_start().len());
    debug_assert_eq!(&text[start..start + length], kept, "separators are control characters and gone by now");
    text.truncate(start + length);
    text.drain(..start);
    text.shrink_to_fit();
    text
}

/// Vertical tab, form feed and next line part words as a space does.
fn is_space(c: char) -> bool {
    matches!(c, '\u{b}' | '\u{c}' | '\u{85}')
}

fn is_dropped(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\t' | '\n' | '\r') && !is_space(c);
    is_control || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// A text in pieces of some kilobytes, none of which ends within a character reference: behind white space, if there
/// is any.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(piece_length(rest));
        rest = after;
        Some(piece)
    })
}

fn piece_length(text: &str) -> usize {
    let limit = text.floor_char_boundary(PIECE_BYTES);
    if limit == text.len() {
        return limit;
    }
    let tail = text.floor_char_boundary(limit - REFERENCE_BYTES);
    let space = text[tail..limit].rfind(|c: char| c.is_ascii_whitespace()).map(|at| tail + at + 1);
    space.or_else(|| text[tail..limit].rfind('&').map(|at| tail + at)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_tear_no_reference_apart() {
        for unit in ["&amp;", "word &lt; ", "&#x1F980;", "é", "&", "a"] {
            let text = unit.repeat(3 * PIECE_BYTES / unit.len());
            let whole = sanitise_plain(&text);
            assert_eq!(sanitise_document(&text, &Turn::unlimited()), Ok(whole), "{unit}");
            assert!(pieces(&text).all(|piece| piece.len() <= PIECE_BYTES), "{unit}");
            assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }

    #[test]
    fn white_space_of_any_kind_parts_words() {
        for space in ["\u{b}", "\u{c}", "\u{85}"] {
            assert_eq!(sanitise_plain(&format!("{space}Nora{space}Lindqvist\0{space}")), "Nora Lindqvist");
        }
    }
}
