//! Writes running text as blocks: white space collapsed, paragraphs parted by a blank line.

use crate::compute::{Stopped, Turn};

/// What separates the next piece of text from what is already written. A stronger gap absorbs a weaker one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Gap {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Block,
}

/// The common target of the Markdown and HTML readers.
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

    /// Whose turn it is, for those that write.
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

    /// A paragraph or the like; at the start of a heading or list item it stays beside the marker.
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
