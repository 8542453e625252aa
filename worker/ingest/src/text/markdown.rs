//! Markdown (`CommonMark` with tables and footnotes) to blocks of text.

use std::borrow::Cow;

use pulldown_cmark::{BrokenLink, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use worker::compute::Stopped;

use super::blocks::BlockWriter;
use super::html;
#[cfg(test)]
use super::segments::front_matter;
use super::segments::{Form, Segment, Segments};

const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS);

/// Writes the document's text: links and emphasis give their text, images outside links their description.
pub(super) fn write_blocks(source: &str, blocks: &mut BlockWriter<'_>) -> Result<(), Stopped> {
    let segments = Segments::of(source, OPTIONS, blocks.turn())?;
    let mut goes_on = false;
    for segment in &segments.list {
        let text = &source[segment.range.clone()];
        match &segment.form {
            Form::Code => blocks.code(text)?,
            Form::Html => html::write_fragment(text, blocks)?,
            Form::Markdown => write_segment(text, &segments, Joints::of(goes_on, segment), blocks)?,
            Form::Rows { head } => {
                let text = [&source[head.clone()], text].concat();
                write_segment(&text, &segments, Joints::of(goes_on, segment), blocks)?;
            }
        }
        goes_on = segment.goes_on;
    }
    Ok(())
}

/// As one segment, for tests to compare with.
#[cfg(test)]
pub(super) fn write_whole(source: &str, blocks: &mut BlockWriter<'_>) -> Result<(), Stopped> {
    let joints = Joints { before: false, after: false, repeats_head: false };
    let (lines, end) = front_matter(source).unwrap_or_default();
    blocks.code(&source[lines])?;
    write_segment(&source[end..], &Segments::default(), joints, blocks)
}

fn write_segment(
    text: &str,
    segments: &Segments,
    joints: Joints,
    blocks: &mut BlockWriter<'_>,
) -> Result<(), Stopped> {
    let footnotes = segments.missing_footnotes(text);
    let whole =
        if footnotes.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([text, &footnotes].concat()) };
    let mut reader = Reader { blocks, joints, depth: 0, literal: None, link_depth: 0, badge_depth: 0 };
    let link = |link: BrokenLink<'_>| segments.link(&link.reference);
    let parser = Parser::new_with_broken_link_callback(&whole, OPTIONS, Some(link));
    // Definitions of footnotes were appended to the text for the parser; they are read where they stand.
    for (event, _) in parser.into_offset_iter().take_while(|(_, range)| range.start < text.len().max(1)) {
        reader.event(event)?;
    }
    Ok(())
}

/// How a segment continues its neighbours, where a block was cut.
#[derive(Clone, Copy)]
struct Joints {
    /// The first block continues from the segment before.
    before: bool,
    /// The last block continues in the next segment.
    after: bool,
    /// The segment repeats the head of the table that it continues.
    repeats_head: bool,
}

impl Joints {
    fn of(before: bool, segment: &Segment) -> Self {
        let repeats_head = matches!(segment.form, Form::Rows { .. });
        Self { before, after: segment.goes_on, repeats_head }
    }
}

struct Reader<'w, 't> {
    blocks: &'w mut BlockWriter<'t>,
    joints: Joints,
    /// How many blocks and spans are open.
    depth: usize,
    /// Collects the body of a code or HTML block.
    literal: Option<String>,
    link_depth: usize,
    /// Images inside links are badges ("build passing"): their descriptions say nothing about the document.
    badge_depth: usize,
}

impl Reader<'_, '_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Stopped> {
        match event {
            Event::Start(tag) => {
                let is_joined = self.depth == 0 && std::mem::take(&mut self.joints.before);
                self.depth += 1;
                if is_joined && matches!(tag, Tag::Paragraph | Tag::List(_) | Tag::Table(_)) {
                    return self.blocks.text(" ");
                }
                self.start(&tag);
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                let is_joined = self.depth == 0 && self.joints.after;
                if is_joined && matches!(tag, TagEnd::Paragraph | TagEnd::List(_) | TagEnd::Table) {
                    return Ok(());
                }
                self.end(tag)?;
            }
            _ if self.joints.repeats_head => {}
            Event::Text(text) | Event::Code(text) | Event::Html(text) => self.text(&text)?,
            Event::InlineHtml(tag) if tag.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("<br")) => {
                self.blocks.line_break();
            }
            Event::SoftBreak => self.blocks.text(" ")?,
            Event::HardBreak => self.blocks.line_break(),
            Event::Rule => self.blocks.block_break(),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Stopped> {
        match &mut self.literal {
            Some(literal) => literal.push_str(text),
            None if self.badge_depth == 0 => self.blocks.text(text)?,
            None => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph => self.blocks.paragraph(),
            Tag::Heading { level, .. } => self.blocks.heading(level_number(*level)),
            Tag::CodeBlock(_) | Tag::HtmlBlock => self.literal = Some(String::new()),
            Tag::Item => self.blocks.list_item(),
            Tag::TableHead | Tag::TableCell if self.joints.repeats_head => {}
            Tag::TableHead | Tag::TableRow => self.blocks.line_break(),
            Tag::TableCell => self.blocks.table_cell(),
            Tag::BlockQuote(_) | Tag::List(_) | Tag::Table(_) | Tag::FootnoteDefinition(_) => {
                self.blocks.block_break();
            }
            Tag::Link { .. } => self.link_depth += 1,
            Tag::Image { .. } if self.link_depth > 0 => self.badge_depth += 1,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), Stopped> {
        match tag {
            TagEnd::TableHead => self.joints.repeats_head = false,
            TagEnd::Heading(_) => self.blocks.end_heading(),
            TagEnd::Item => self.blocks.end_list_item(),
            TagEnd::CodeBlock => {
                let code = self.literal.take().unwrap_or_default();
                self.blocks.code(&code)?;
            }
            TagEnd::HtmlBlock => {
                let fragment = self.literal.take().unwrap_or_default();
                html::write_fragment(&fragment, self.blocks)?;
            }
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Table => {
                self.blocks.block_break();
            }
            TagEnd::Link => self.link_depth = self.link_depth.saturating_sub(1),
            TagEnd::Image => self.badge_depth = self.badge_depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

fn level_number(level: HeadingLevel) -> usize {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
