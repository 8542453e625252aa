//! Cuts a long Markdown document into segments that are parsed one after the other.
//!
//! The parser keeps a tree node of about 70 bytes for each character of markup, so a whole document of hostile markup
//! would cost a hundred times its size. Read in segments it costs no more than one of them. A document of at most
//! [`WINDOW_BYTES`] is one segment. A longer one is cut where a block of the top level begins: what stands before such
//! a place does not depend on what follows, apart from the definitions of links and footnotes, which are collected
//! here. Only a block that is itself longer than a window is cut inside: a list between two items, a table between two
//! rows, other text between two lines. Code between fences and HTML need no tree, so they stay whole.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag};
use worker::compute::{Stopped, Turn};

/// Largest segment that is parsed at once.
pub(super) const WINDOW_BYTES: usize = 128 * 1024;
/// A longer table head is not repeated in front of later rows.
const TABLE_HEAD_BYTES: usize = WINDOW_BYTES / 16;

/// A segment of the document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    pub(super) form: Form,
    pub(super) range: Range<usize>,
    /// Whether its last block continues in the next segment.
    pub(super) goes_on: bool,
}

/// How a segment has to be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Markdown,
    /// Rows of a table whose head is at this range, and what follows them.
    Rows {
        head: Range<usize>,
    },
    /// The lines of a block of code.
    Code,
    /// One block of HTML.
    Html,
}

/// Where a document is cut, and the definitions that its segments share.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) list: Vec<Segment>,
    /// Labels of link definitions, in lower case. Empty for a single segment, which contains its own.
    links: HashSet<String>,
    /// Labels of footnote definitions, likewise.
    footnotes: HashSet<String>,
}

impl Segments {
    pub(super) fn of(source: &str, options: Options, turn: &Turn) -> Result<Self, Stopped> {
        let mut segments = Self::default();
        let mut at = 0;
        if let Some((lines, end)) = front_matter(source) {
            segments.list.push(Segment { form: Form::Code, range: lines, goes_on: false });
            at = end;
        }
        if source.len() - at <= WINDOW_BYTES {
            segments.list.push(Segment { form: Form::Markdown, range: at..source.len(), goes_on: false });
            return Ok(segments);
        }
        let mut scan = Scan { source, options, at, table_head: None };
        while scan.at < source.len() {
            turn.check(WINDOW_BYTES)?;
            let segment = scan.next(&mut segments, turn)?;
            segments.list.push(segment);
        }
        Ok(segments)
    }

    /// A placeholder destination for a link that is defined anywhere in the document: only the text of links is
    /// kept, so the destination does not matter.
    pub(super) fn link<'a>(&self, label: &str) -> Option<(CowStr<'a>, CowStr<'a>)> {
        let is_known = !self.links.is_empty() && self.links.contains(&label.to_lowercase());
        is_known.then_some((CowStr::Borrowed("#"), CowStr::Borrowed("")))
    }

    /// Definitions of the footnotes that `text` refers to and that stand elsewhere. The caller appends them,
    /// because the parser takes a reference without definition for text.
    pub(super) fn missing_footnotes(&self, text: &str) -> String {
        let mut definitions = String::new();
        if self.footnotes.is_empty() {
            return definitions;
        }
        let (mut used, mut defined) = (Vec::new(), HashSet::new());
        for (label, after) in text.split("[^").skip(1).filter_map(|after| after.split_once(']')) {
            let label = label.to_lowercase();
            if after.starts_with(':') {
                defined.insert(label);
            } else if self.footnotes.contains(&label) {
                used.push(label);
            }
        }
        for label in used {
            if defined.insert(label.clone()) {
                definitions.extend(["\n\n[^", &label, "]: x"]);
            }
        }
        definitions
    }
}

struct Scan<'s> {
    source: &'s str,
    options: Options,
    at: usize,
    /// Head of the table that continues at `at`.
    table_head: Option<Range<usize>>,
}

/// The blocks of a window.
#[derive(Default)]
struct Window {
    /// The first block.
    first: Option<Block>,
    /// Start of the line on which the last block begins.
    last_block: usize,
    /// Start of the last item or row of the first block, as long as there is no other block.
    last_part: usize,
    is_single: bool,
}

/// A block, as far as it matters for cutting.
#[derive(Clone, Copy)]
enum Block {
    Fence,
    Html,
    List,
    /// Where its first row begins.
    Table {
        rows: Option<usize>,
    },
    Other,
}

impl Scan<'_> {
    fn next(&mut self, found: &mut Segments, turn: &Turn) -> Result<Segment, Stopped> {
        let (source, at) = (self.source, self.at);
        let end = window_end(source, at);
        let head = self.table_head.take();
        let text = match &head {
            Some(head) => Cow::Owned([&source[head.clone()], &source[at..end]].concat()),
            None => Cow::Borrowed(&source[at..end]),
        };
        let window = Window::of(&text, self.options, found);
        // The text has the table head in front of what stands at `at`, so offsets are shifted.
        let shift = head.as_ref().map_or(0, Range::len);
        let place = |position: usize| at + position.saturating_sub(shift);
        let (block, part) = (place(window.last_block), place(window.last_part));
        let (cut, is_inside) = match window.first {
            _ if end == source.len() => (end, false),
            _ if block > at => (block, false),
            Some(Block::Fence) => return self.code(turn),
            Some(Block::Html) => return self.html(turn),
            Some(Block::List) if part > at => (part, true),
            Some(Block::Table { rows: Some(rows) }) if part > at => {
                let head = head.clone().unwrap_or(at..at + rows);
                self.table_head = Some(head).filter(|head| head.len() <= TABLE_HEAD_BYTES);
                (part, true)
            }
            _ => (end, true),
        };
        self.at = cut;
        let form = head.map_or(Form::Markdown, |head| Form::Rows { head });
        let goes_on = is_inside && !source[cut..].trim_start_matches([' ', '\t', '\r']).starts_with('\n');
        Ok(Segment { form, range: at..cut, goes_on })
    }

    /// Code between fences, up to the closing fence wherever it is.
    fn code(&mut self, turn: &Turn) -> Result<Segment, Stopped> {
        let opening = self.source[self.at..].trim_start_matches(' ');
        let mark = if opening.starts_with('~') { '~' } else { '`' };
        let length = opening.len() - opening.trim_start_matches(mark).len();
        let start = self.at + first_line(&self.source[self.at..]).len();
        let mut end = start;
        self.at = self.source.len();
        for line in self.source[start..].split_inclusive('\n') {
            turn.check(line.len())?;
            let fence = line.trim_end().trim_start_matches(' ');
            let indent = line.len() - line.trim_start_matches(' ').len();
            if indent < 4 && fence.len() >= length && fence.trim_start_matches(mark).is_empty() {
                self.at = end + line.len();
                break;
            }
            end += line.len();
        }
        Ok(Segment { form: Form::Code, range: start..end, goes_on: false })
    }

    /// An HTML block, up to the end that `CommonMark` defines for its kind.
    fn html(&mut self, turn: &Turn) -> Result<Segment, Stopped> {
        let start = self.at;
        let marker = html_end(self.source[start..].trim_start_matches(' '));
        for line in self.source[start..].split_inclusive('\n') {
            turn.check(line.len())?;
            if marker.is_none() && line.trim().is_empty() {
                break;
            }
            self.at += line.len();
            if marker.is_some_and(|marker| contains(line, marker)) {
                break;
            }
        }
        Ok(Segment { form: Form::Html, range: start..self.at, goes_on: false })
    }
}

impl Window {
    /// Finds the blocks of a window, and collects the definitions in it.
    fn of(text: &str, options: Options, found: &mut Segments) -> Self {
        let parser = Parser::new_ext(text, options);
        found.links.extend(parser.reference_definitions().iter().map(|(label, _)| label.to_lowercase()));
        let mut window = Self::default();
        let mut depth = 0_usize;
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(tag) => {
                    match (depth, &tag) {
                        (0, tag) => window.block(Block::of(tag), line_start(text, range.start)),
                        (1, Tag::Item | Tag::TableRow) => window.part(line_start(text, range.start)),
                        _ => {}
                    }
                    if let Tag::FootnoteDefinition(label) = &tag {
                        found.footnotes.insert(label.to_lowercase());
                    }
                    depth += 1;
                }
                Event::End(_) => depth = depth.saturating_sub(1),
                _ if depth == 0 => window.block(Block::Other, line_start(text, range.start)),
                _ => {}
            }
        }
        window
    }

    fn block(&mut self, block: Block, start: usize) {
        self.is_single = self.first.is_none();
        self.first.get_or_insert(block);
        self.last_block = start;
    }

    fn part(&mut self, start: usize) {
        if !self.is_single {
            return;
        }
        self.last_part = start;
        if let Some(Block::Table { rows }) = &mut self.first {
            rows.get_or_insert(start);
        }
    }
}

impl Block {
    fn of(tag: &Tag<'_>) -> Self {
        match tag {
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => Self::Fence,
            Tag::HtmlBlock => Self::Html,
            Tag::List(_) => Self::List,
            Tag::Table(_) => Self::Table { rows: None },
            _ => Self::Other,
        }
    }
}

/// The end of a window that begins at `from`: behind a line, else behind a word.
fn window_end(text: &str, from: usize) -> usize {
    let limit = text.ceil_char_boundary(from.saturating_add(WINDOW_BYTES));
    if limit >= text.len() {
        return text.len();
    }
    let window = &text[from..limit];
    let ends = [window.rfind('\n'), window.rfind(' ')].into_iter().flatten().map(|at| at + 1);
    from + ends.into_iter().find(|&end| end > WINDOW_BYTES / 2).unwrap_or(window.len())
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

fn first_line(text: &str) -> &str {
    text.split_inclusive('\n').next().unwrap_or_default()
}

/// The lines of a metadata block (`---`, YAML, then `---` or `...`) and where it ends. Only the start of a document
/// can be one; the parser's own option would take the text between any two rules for metadata.
pub(super) fn front_matter(source: &str) -> Option<(Range<usize>, usize)> {
    let mut lines = source.split_inclusive('\n');
    let opening = lines.next().filter(|line| line.trim_end() == "---")?;
    let mut end = opening.len();
    for line in lines {
        let is_closing = matches!(line.trim_end(), "---" | "...");
        let is_first = end == opening.len();
        if is_first && (is_closing || line.trim().is_empty()) {
            return None;
        }
        if is_closing {
            return Some((opening.len()..end, end + line.len()));
        }
        end += line.len();
    }
    None
}

/// What ends an HTML block that begins like this; `None` when a blank line does.
fn html_end(opening: &str) -> Option<&'static str> {
    const ENDS: [(&str, &str); 8] = [
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<pre", "</pre>"),
        ("<textarea", "</textarea>"),
        ("<!--", "-->"),
        ("<![CDATA[", "]]>"),
        ("<?", "?>"),
        ("<!", ">"),
    ];
    let begins = |(start, _): &&(&str, &str)| {
        let after = opening.as_bytes().get(start.len());
        let is_whole = !start.ends_with(|c: char| c.is_ascii_alphabetic())
            || after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        opening.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start)) && is_whole
    };
    ENDS.iter().find(begins).map(|(_, end)| *end)
}

/// Whether a line contains `marker`, ignoring case.
fn contains(line: &str, marker: &str) -> bool {
    let first = &marker[..1];
    line.match_indices(first).any(|(at, _)| {
        line.as_bytes()[at..]
            .get(..marker.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(marker.as_bytes()))
    })
}
