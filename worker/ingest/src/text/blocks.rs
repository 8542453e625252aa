//! Writes running text as blocks: white space collapsed, paragraphs separated by a blank line.
//!
//! Includes the clean-up that LightRAG applies to every text before it chunks it.

use std::borrow::Cow;

use worker::compute::{Stopped, Turn};

/// The gap between the next piece of text and what is already written. A larger gap absorbs a smaller one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Gap {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Block,
}

/// Common output of the Markdown and HTML readers.
#[derive(Debug)]
pub(super) struct BlockWriter<'t> {
    turn: &'t Turn,
    out: String,
    gap: Gap,
    /// `# ` or `- `, written only if text follows.
    marker: Option<&'static str>,
    heading_start: Option<usize>,
    first_heading: Option<String>,
}

/// No more of a heading is kept as a title.
const TITLE_BYTES_MAX: usize = 4096;

const HEADING_MARKERS: [&str; 6] = ["# ", "## ", "### ", "#### ", "##### ", "###### "];

impl<'t> BlockWriter<'t> {
    pub(super) const fn new(turn: &'t Turn) -> Self {
        Self {
            turn,
            out: String::new(),
            gap: Gap::None,
            marker: None,
            heading_start: None,
            first_heading: None,
        }
    }

    /// The job's time slice, for the readers that write here.
    pub(super) const fn turn(&self) -> &'t Turn {
        self.turn
    }

    /// Appends text; every run of white space counts as one space.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Stopped> {
        if text.starts_with(char::is_whitespace) {
            self.widen(Gap::Space);
        }
        for word in text.split_whitespace() {
            self.turn.check(word.len())?;
            self.flush_gap();
            self.out.push_str(word);
            self.gap = Gap::Space;
        }
        // The last word set a gap of one space; take it back unless the text itself ended in white space.
        if self.gap == Gap::Space && !text.is_empty() && !text.ends_with(char::is_whitespace) {
            self.gap = Gap::None;
        }
        Ok(())
    }

    pub(super) fn line_break(&mut self) {
        self.widen(Gap::Line);
    }

    pub(super) fn block_break(&mut self) {
        self.marker = None;
        self.widen(Gap::Block);
    }

    pub(super) fn list_item(&mut self) {
        self.line_break();
        self.marker = Some("- ");
    }

    pub(super) fn end_list_item(&mut self) {
        self.marker = None;
        self.line_break();
    }

    /// Ends the current line and starts a paragraph; at the start of a heading or list item it stays beside the
    /// marker.
    pub(super) fn paragraph(&mut self) {
        if self.marker.is_none() {
            self.block_break();
        }
    }

    pub(super) fn table_cell(&mut self) {
        self.widen(Gap::Cell);
    }

    /// Starts a heading of level 1 to 6.
    pub(super) fn heading(&mut self, level: usize) {
        self.end_heading();
        self.block_break();
        self.marker = Some(HEADING_MARKERS[level.clamp(1, HEADING_MARKERS.len()) - 1]);
        self.heading_start = Some(self.out.len());
    }

    pub(super) fn end_heading(&mut self) {
        if let Some(start) = self.heading_start.take() {
            let heading = self.out[start..].trim().trim_start_matches('#').trim_start();
            let heading = &heading[..heading.floor_char_boundary(TITLE_BYTES_MAX)];
            if self.first_heading.is_none() && !heading.is_empty() {
                self.first_heading = Some(heading.to_owned());
            }
            self.block_break();
        }
    }

    /// Appends code as a block of its own, each line indented so that it stays recognisable.
    pub(super) fn code(&mut self, code: &str) -> Result<(), Stopped> {
        self.block_break();
        for line in code.lines().map(str::trim_end) {
            self.turn.check(line.len())?;
            if line.is_empty() {
                continue;
            }
            self.flush_gap();
            self.out.push_str("    ");
            self.out.push_str(line);
            self.gap = Gap::Line;
        }
        self.block_break();
        Ok(())
    }

    /// The text and its first heading.
    pub(super) fn finish(mut self) -> (String, Option<String>) {
        self.end_heading();
        (self.out, self.first_heading)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    fn widen(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn flush_gap(&mut self) {
        let gap = std::mem::take(&mut self.gap);
        if !self.out.is_empty() {
            self.out.push_str(match gap {
                Gap::None => "",
                Gap::Space => " ",
                Gap::Cell => " | ",
                Gap::Line => "\n",
                Gap::Block => "\n\n",
            });
        }
        if let Some(marker) = self.marker.take() {
            self.out.push_str(marker);
        }
    }
}

/// Text is cleaned in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;
/// The longest name of an HTML character reference has 33 characters.
const REFERENCE_BYTES: usize = 40;

/// Decodes HTML character references, drops control characters other than white space, and trims. For short texts.
pub(crate) fn sanitise_plain(text: &str) -> String {
    strip(&cleaned(&html_escape::decode_html_entities(text))).to_owned()
}

/// As [`sanitise_plain`], for a whole document: yields its time slice between pieces.
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

/// Vertical tab, form feed and next line separate words as a space does.
fn is_space(c: char) -> bool {
    matches!(c, '\u{b}' | '\u{c}' | '\u{85}')
}

fn is_dropped(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\t' | '\n' | '\r') && !is_space(c);
    is_control || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Cuts a text into pieces of some kilobytes, none of which ends within a character reference: behind white space
/// where there is any.
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
