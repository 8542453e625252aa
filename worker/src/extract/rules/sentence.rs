//! Cuts a chunk into sentences, knowing headings, list items, table rows and code from running text.

use super::token::{Shape, Token, tokens};
use crate::compute::{Stopped, Turn};

/// A sentence without an end is cut here.
const SENTENCE_CHARS_MAX: usize = 600;
const ABBREVIATIONS: [&str; 26] = [
    "al", "approx", "ca", "cf", "co", "corp", "dept", "dr", "e.g", "est", "etc", "fig", "i.e", "inc", "jr",
    "ltd", "mr", "mrs", "ms", "no", "prof", "resp", "sr", "st", "viz", "vs",
];

/// What kind of line a sentence comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Prose,
    /// Headings and other lines in which every word has a capital.
    Heading,
    Code,
}

#[derive(Clone, Debug)]
pub(super) struct Sentence {
    /// One line.
    pub(super) text: String,
    pub(super) role: Role,
    pub(super) tokens: Vec<Token>,
}

/// The sentences of a chunk, in order.
pub(super) fn sentences(chunk: &str, turn: &Turn) -> Result<Vec<Sentence>, Stopped> {
    let mut sentences = Vec::new();
    for (paragraph, role) in paragraphs(chunk) {
        for text in split_sentences(&paragraph) {
            turn.check(text.len())?;
            let tokens = tokens(text);
            let role = if role == Role::Prose && is_title_case(&tokens) { Role::Heading } else { role };
            if !tokens.is_empty() {
                sentences.push(Sentence { text: text.to_owned(), role, tokens });
            }
        }
    }
    Ok(sentences)
}

fn paragraphs(chunk: &str) -> Vec<(String, Role)> {
    let mut paragraphs: Vec<(String, Role)> = Vec::new();
    // Whether the next line may go on with the last paragraph.
    let mut is_open = false;
    for raw in chunk.lines() {
        let line = raw.trim();
        let heading = raw.trim_start_matches('#').strip_prefix(' ').filter(|_| raw.starts_with('#'));
        if is_underline(line) {
            if let (true, Some((_, role))) = (is_open, paragraphs.last_mut()) {
                *role = Role::Heading;
            }
            is_open = false;
        } else if line.is_empty() {
            is_open = false;
        } else if let Some(heading) = heading {
            paragraphs.push((heading.to_owned(), Role::Heading));
            is_open = false;
        } else if is_code(raw) {
            paragraphs.push((line.to_owned(), Role::Code));
            is_open = false;
        } else if line.contains(" | ") || line.starts_with('|') {
            paragraphs.push((line.to_owned(), Role::Prose));
            is_open = false;
        } else if let Some(item) = list_item(line) {
            paragraphs.push((item.to_owned(), Role::Prose));
            is_open = true;
        } else {
            match paragraphs.last_mut().filter(|_| is_open) {
                Some((paragraph, _)) => {
                    paragraph.push(' ');
                    paragraph.push_str(line);
                }
                None => paragraphs.push((line.to_owned(), Role::Prose)),
            }
            is_open = true;
        }
    }
    for (paragraph, _) in &mut paragraphs {
        *paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    paragraphs
}

fn is_underline(line: &str) -> bool {
    line.len() >= 3 && ['=', '-', '~', '*', '^', '_'].iter().any(|&mark| line.trim_matches(mark).is_empty())
}

/// Indented like code, and with the punctuation of code: novels indent their paragraphs as well.
fn is_code(raw: &str) -> bool {
    (raw.starts_with("    ") || raw.starts_with('\t'))
        && raw.contains(['{', '}', '(', ')', '[', ']', '=', '<', '>', '$', ';', '_', '\\', '/'])
}

fn list_item(line: &str) -> Option<&str> {
    for marker in ["- ", "* ", "+ ", "• ", "> "] {
        if let Some(item) = line.strip_prefix(marker) {
            return Some(item.trim_start());
        }
    }
    let (number, item) = line.split_once([' ', '\t'])?;
    let digits = number.strip_suffix(['.', ')'])?;
    (!digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(item)
}

fn split_sentences(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let (mut start, mut length) = (0, 0);
    let mut chars = paragraph.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        length += 1;
        let end = at + c.len_utf8();
        let next = chars.peek().map_or(' ', |&(_, next)| next);
        let is_end = match c {
            '。' | '！' | '？' | '｡' => !matches!(next, '」' | '』' | '”' | '）' | '。' | '！' | '？'),
            '」' | '』' | '”' => paragraph[start..at].ends_with(['。', '！', '？']),
            '!' | '?' | '…' | '।' | '؟' | '۔' | '.' => {
                next == ' ' && ends_sentence(&paragraph[start..at], c, &paragraph[end..])
            }
            ' ' => length > SENTENCE_CHARS_MAX,
            _ => length > 2 * SENTENCE_CHARS_MAX,
        };
        if is_end {
            sentences.push(paragraph[start..end].trim());
            (start, length) = (end, 0);
        }
    }
    sentences.push(paragraph[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// A full stop ends a sentence unless it abbreviates or a small letter follows.
fn ends_sentence(before: &str, mark: char, after: &str) -> bool {
    if after.trim_start().starts_with(char::is_lowercase) {
        return false;
    }
    let last = before.rsplit([' ', '(', '"']).next().unwrap_or_default().to_lowercase();
    let is_initial = last.chars().count() == 1 && last.chars().all(char::is_alphabetic) && last != "i";
    mark != '.' || !(is_initial || ABBREVIATIONS.contains(&last.as_str()))
}

/// Whether every word of weight has a capital, so that capitals say nothing.
fn is_title_case(tokens: &[Token]) -> bool {
    let long = || tokens.iter().filter(|token| token.key.chars().count() > 3 && token.shape != Shape::Number);
    let capital = |token: &&Token| matches!(token.shape, Shape::Capital | Shape::Acronym);
    long().count() >= 5 && long().all(|token| capital(&token))
}
