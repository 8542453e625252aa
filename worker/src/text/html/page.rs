//! Gives each tag its effect on the text.

use super::scan::{Scanner, Syntax, Token, attribute};
use crate::compute::Stopped;
use crate::text::blocks::BlockWriter;
use crate::text::sanitise::pieces;

/// Never text that a reader sees.
const HIDDEN: [&str; 14] = [
    "canvas", "datalist", "iframe", "noembed", "noframes", "noscript", "object", "script", "select", "style",
    "svg", "template", "textarea", "xmp",
];

/// Tags that end the line before and after them.
const BLOCKS: [&str; 30] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hgroup",
    "hr",
    "main",
    "ol",
    "p",
    "search",
    "section",
    "summary",
    "table",
    "title",
    "ul",
];

/// Tags that can only stand behind the navigation, so that a `<nav>` nobody closed ends there.
const BEHIND_NAVIGATION: [&str; 5] = ["article", "body", "footer", "h1", "main"];

/// Writes a page without its navigation and gives its `<title>`.
pub(in crate::text) fn write_page(
    source: &str,
    syntax: Syntax,
    blocks: &mut BlockWriter<'_>,
) -> Result<Option<String>, Stopped> {
    let title = write(source, syntax, true, blocks)?;
    if blocks.is_empty() {
        // Nothing but navigation: better than nothing.
        return write(source, syntax, false, blocks);
    }
    Ok(title)
}

/// Writes a piece of HTML found inside Markdown.
pub(in crate::text) fn write_fragment(source: &str, blocks: &mut BlockWriter<'_>) -> Result<(), Stopped> {
    blocks.block_break();
    write(source, Syntax::Html, false, blocks)?;
    blocks.block_break();
    Ok(())
}

fn write(
    source: &str,
    syntax: Syntax,
    skips_navigation: bool,
    blocks: &mut BlockWriter<'_>,
) -> Result<Option<String>, Stopped> {
    let turn = blocks.turn();
    let mut page = Page {
        blocks,
        skips_navigation,
        hidden: None,
        title: None,
        in_title: false,
        in_link: false,
        code: None,
    };
    for token in Scanner::new(source, syntax) {
        match token {
            Token::Text(text) => {
                for piece in pieces(text) {
                    page.text(&html_escape::decode_html_entities(piece))?;
                }
            }
            Token::Literal(text) => page.text(text)?,
            Token::Open { name, attributes, is_empty } => {
                turn.check(name.len() + attributes.len())?;
                let name = name.to_ascii_lowercase();
                page.open(&name, attributes)?;
                if is_empty {
                    page.close(&name)?;
                }
            }
            Token::Close { name } => page.close(&name.to_ascii_lowercase())?,
        }
    }
    page.end_code()?;
    page.blocks.end_heading();
    Ok(page.title)
}

struct Page<'w, 't> {
    blocks: &'w mut BlockWriter<'t>,
    skips_navigation: bool,
    /// The hidden element we are in, and how many of that name are open.
    hidden: Option<(String, usize)>,
    title: Option<String>,
    in_title: bool,
    in_link: bool,
    /// Collects the text of a `<pre>`.
    code: Option<String>,
}

impl Page<'_, '_> {
    fn text(&mut self, text: &str) -> Result<(), Stopped> {
        self.blocks.turn().check(text.len())?;
        if self.hidden.is_some() {
            return Ok(());
        }
        match &mut self.code {
            _ if self.in_title => {
                let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
                self.title = self.title.take().or((!title.is_empty()).then_some(title));
            }
            Some(code) => code.push_str(text),
            None if text.contains('\u{ad}') => self.blocks.text(&text.replace('\u{ad}', ""))?,
            None => self.blocks.text(text)?,
        }
        Ok(())
    }

    fn open(&mut self, name: &str, attributes: &str) -> Result<(), Stopped> {
        if let Some((hidden, depth)) = &mut self.hidden {
            if hidden == name {
                *depth += 1;
            } else if hidden == "nav" && BEHIND_NAVIGATION.contains(&name) {
                self.hidden = None;
            }
        }
        if self.hidden.is_some() {
            return Ok(());
        }
        match name {
            "title" => self.in_title = true,
            "nav" if self.skips_navigation => self.hidden = Some((name.to_owned(), 1)),
            _ if HIDDEN.contains(&name) => self.hidden = Some((name.to_owned(), 1)),
            "a" => self.in_link = true,
            "img" if !self.in_link => self.image(attributes)?,
            "br" => self.line_break(),
            "pre" => self.code = Some(String::new()),
            "li" => self.blocks.list_item(),
            "tr" => self.blocks.line_break(),
            "td" | "th" => self.blocks.table_cell(),
            _ => match heading_level(name) {
                Some(level) => self.blocks.heading(level),
                None if BLOCKS.contains(&name) => self.blocks.paragraph(),
                None => {}
            },
        }
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), Stopped> {
        if let Some((hidden, depth)) = &mut self.hidden {
            if hidden == name {
                *depth -= 1;
                if *depth == 0 {
                    self.hidden = None;
                }
            }
            return Ok(());
        }
        match name {
            "title" => self.in_title = false,
            "a" => self.in_link = false,
            "pre" => self.end_code()?,
            "li" => self.blocks.end_list_item(),
            "tr" => self.blocks.line_break(),
            _ if heading_level(name).is_some() => self.blocks.end_heading(),
            _ if BLOCKS.contains(&name) => self.blocks.block_break(),
            _ => {}
        }
        Ok(())
    }

    fn line_break(&mut self) {
        match &mut self.code {
            Some(code) => code.push('\n'),
            None => self.blocks.line_break(),
        }
    }

    fn image(&mut self, attributes: &str) -> Result<(), Stopped> {
        match attribute(attributes, "alt") {
            Some(description) => self.text(&html_escape::decode_html_entities(description)),
            None => Ok(()),
        }
    }

    fn end_code(&mut self) -> Result<(), Stopped> {
        match self.code.take() {
            Some(code) => self.blocks.code(&code),
            None => Ok(()),
        }
    }
}

fn heading_level(name: &str) -> Option<usize> {
    match name.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(usize::from(level - b'0')),
        _ => None,
    }
}
