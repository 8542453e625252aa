//! Markdown (`CommonMark` with tables and footnotes) to blocks of text.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::blocks::BlockWriter;
use super::html;

/// Writes the document's text: links and emphasis give their text, images outside links their description.
pub(super) fn write_blocks(source: &str, blocks: &mut BlockWriter) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader { blocks, literal: None, link_depth: 0, badge_depth: 0 };
    for event in Parser::new_ext(source, options) {
        reader.event(event);
    }
}

struct Reader<'w> {
    blocks: &'w mut BlockWriter,
    /// Collects the body of a code or HTML block.
    literal: Option<String>,
    link_depth: usize,
    /// Images inside links are badges ("build passing"): their descriptions say nothing about the document.
    badge_depth: usize,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) | Event::Html(text) => self.text(&text),
            Event::InlineHtml(tag) if tag.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("<br")) => {
                self.blocks.line_break();
            }
            Event::SoftBreak => self.blocks.text(" "),
            Event::HardBreak => self.blocks.line_break(),
            Event::Rule => self.blocks.block_break(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        match &mut self.literal {
            Some(literal) => literal.push_str(text),
            None if self.badge_depth == 0 => self.blocks.text(text),
            None => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph => self.blocks.paragraph(),
            Tag::Heading { level, .. } => self.blocks.heading(level_number(*level)),
            Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => self.literal = Some(String::new()),
            Tag::Item => self.blocks.list_item(),
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

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => self.blocks.end_heading(),
            TagEnd::Item => self.blocks.end_list_item(),
            TagEnd::CodeBlock | TagEnd::MetadataBlock(_) => {
                let code = self.literal.take().unwrap_or_default();
                self.blocks.code(&code);
            }
            TagEnd::HtmlBlock => {
                let fragment = self.literal.take().unwrap_or_default();
                html::write_fragment(&fragment, self.blocks);
            }
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Table => {
                self.blocks.block_break();
            }
            TagEnd::Link => self.link_depth = self.link_depth.saturating_sub(1),
            TagEnd::Image => self.badge_depth = self.badge_depth.saturating_sub(1),
            _ => {}
        }
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
