//! Cuts HTML into text and tags, in one pass.

/// Decides what `/>` means.
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
        /// There will be no content and no end tag.
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
    /// The raw text element just opened.
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
        // A `<` that opens no tag is text: look for the next one behind it.
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
