//! HTML to blocks of text, without building a tree.
//!
//! A tree builder is quadratic on hostile pages by its specification (2,000 paragraphs with one unclosed `<b
//! id=N>` each took html5ever 93 seconds) and recursion over its tree overflows the stack at a few thousand
//! nested elements. The text of a page needs neither: tags come one by one, and only the few that shape text
//! matter.

use worker::compute::Stopped;

use super::blocks::{BlockWriter, pieces};

/// Decides the meaning of `/>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::text) enum Syntax {
    /// `<script />` opens an element.
    Html,
    /// `<script />` is an empty element.
    Xhtml,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'s> {
    /// Text with character references still encoded.
    Text(&'s str),
    /// Text in which `&` is only `&`.
    Literal(&'s str),
    Open {
        name: &'s str,
        attributes: &'s str,
        /// The element has neither content nor end tag.
        is_empty: bool,
    },
    Close {
        name: &'s str,
    },
}

/// Elements whose content is text up to their own end tag, whatever it looks like.
const RAW_TEXT: [&str; 8] = ["iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"];

pub(super) struct Scanner<'s> {
    rest: &'s str,
    syntax: Syntax,
    /// The raw text element that was just opened.
    raw: Option<&'s str>,
}

impl<'s> Scanner<'s> {
    pub(super) fn new(source: &'s str, syntax: Syntax) -> Self {
        Self { rest: source, syntax, raw: None }
    }

    fn take(&mut self, length: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// The part before `end`, which is skipped too; everything when `end` never comes.
    fn take_until(&mut self, end: &str) -> &'s str {
        match self.rest.split_once(end) {
            Some((taken, rest)) => {
                self.rest = rest;
                taken
            }
            None => std::mem::take(&mut self.rest),
        }
    }

    fn raw_text(&mut self, name: &str) -> &'s str {
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("</").map(|at| from + at) {
            let after = &self.rest.as_bytes()[at + 2..];
            let is_name =
                after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
            if is_name && after.get(name.len()).is_none_or(|&byte| ends_tag_name(byte)) {
                return self.take(at);
            }
            from = at + 2;
        }
        std::mem::take(&mut self.rest)
    }

    /// Reads a start or end tag whose name starts at `name_start`. An unfinished tag swallows the rest, as in
    /// browsers.
    fn tag(&mut self, name_start: usize) -> (&'s str, &'s str, bool) {
        self.take(name_start);
        let name_length = self.rest.bytes().position(ends_tag_name).unwrap_or(self.rest.len());
        let name = self.take(name_length);
        let attributes = self.take(attributes_length(self.rest));
        self.rest = self.rest.strip_prefix('>').unwrap_or(self.rest);
        match attributes.strip_suffix('/') {
            Some(attributes) => (name, attributes, true),
            None => (name, attributes, false),
        }
    }

    fn open_tag(&mut self) -> Token<'s> {
        let (name, attributes, is_self_closing) = self.tag(1);
        // Within HTML only pictures follow the rules of XML.
        let is_empty = is_self_closing && (self.syntax == Syntax::Xhtml || name.eq_ignore_ascii_case("svg"));
        if !is_empty && RAW_TEXT.iter().any(|raw| raw.eq_ignore_ascii_case(name)) {
            self.raw = Some(name);
        }
        Token::Open { name, attributes, is_empty }
    }

    fn text(&mut self) -> Token<'s> {
        // A `<` that opens no tag is text: continue at the next one.
        let length = self.rest[1..].find('<').map_or(self.rest.len(), |at| at + 1);
        Token::Text(self.take(length))
    }
}

impl<'s> Iterator for Scanner<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        if let Some(name) = self.raw.take() {
            return Some(Token::Text(self.raw_text(name)));
        }
        loop {
            let mut bytes = self.rest.bytes();
            let (first, second, third) = (bytes.next()?, bytes.next(), bytes.next());
            return Some(match (first, second, third) {
                (b'<', Some(b'a'..=b'z' | b'A'..=b'Z'), _) => self.open_tag(),
                (b'<', Some(b'/'), Some(b'a'..=b'z' | b'A'..=b'Z')) => Token::Close { name: self.tag(2).0 },
                (b'<', Some(b'!'), _) if self.rest.starts_with("<!--") => {
                    // `<!-->` and `<!--->` are whole comments.
                    self.take(2);
                    if self.rest.starts_with("-->") || self.rest.starts_with("--->") {
                        self.take_until(">");
                    } else {
                        self.take(2);
                        self.take_until("-->");
                    }
                    continue;
                }
                (b'<', Some(b'!'), _) if self.rest.starts_with("<![CDATA[") => {
                    self.take("<![CDATA[".len());
                    Token::Literal(self.take_until("]]>"))
                }
                (b'<', Some(b'!' | b'?'), _) | (b'<', Some(b'/'), Some(_)) => {
                    self.take_until(">");
                    continue;
                }
                _ if first.is_ascii() => self.text(),
                _ => Token::Text(self.take(self.rest.find('<').unwrap_or(self.rest.len()))),
            });
        }
    }
}

fn ends_tag_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'/' || byte == b'>'
}

/// Length up to the `>` that ends the tag; a `>` inside a quoted value does not.
fn attributes_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    let mut is_value_start = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'>' => return at,
            b'"' | b'\'' if is_value_start => match rest[at + 1..].find(char::from(byte)) {
                Some(length) => at += length + 1,
                None => return rest.len(),
            },
            _ => {}
        }
        is_value_start = byte == b'=' || (is_value_start && byte.is_ascii_whitespace());
        at += 1;
    }
    rest.len()
}

/// The value of an attribute, character references still encoded.
pub(super) fn attribute<'s>(attributes: &'s str, wanted: &str) -> Option<&'s str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let name_length = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/'))?;
        let (name, after) = rest.split_at(name_length.max(1).min(rest.len()));
        rest = after.trim_start();
        let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { continue };
        let (value, after) = split_value(value);
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

fn split_value(value: &str) -> (&str, &str) {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
        _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
    }
}

/// Elements whose content is never visible.
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

/// Tags that can only stand behind the navigation, so that an unclosed `<nav>` ends there.
const BEHIND_NAVIGATION: [&str; 5] = ["article", "body", "footer", "h1", "main"];

/// Writes a page without its navigation and gives its `<title>`.
pub(in crate::text) fn write_page(
    source: &str,
    syntax: Syntax,
    blocks: &mut BlockWriter<'_>,
) -> Result<Option<String>, Stopped> {
    let title = write(source, syntax, true, blocks)?;
    if blocks.is_empty() {
        // The page consists of navigation only, so keep it.
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
