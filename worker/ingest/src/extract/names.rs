//! LightRAG's clean-up of names, types and descriptions, from any extractor.

use crate::text::sanitise_plain;

const NAME_CHARS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 512;
const DESCRIPTION_CHARS_MAX: usize = 4000;

/// LightRAG joins values with this separator; inside a value it would split it.
pub(super) const SEPARATOR: &str = "<SEP>";

/// An entity's name: one line, at most 256 characters and 512 bytes. `None` when nothing is left of it.
pub(super) fn entity_name(raw: &str) -> Option<String> {
    let name = one_line(&normalise(unmarked(raw), Quotes::Remove));
    let bytes = name.floor_char_boundary(NAME_BYTES_MAX);
    let name: String = name[..bytes].chars().take(NAME_CHARS_MAX).collect();
    non_empty(name.trim())
}

/// What models write where there is nothing to name.
const NO_NAMES: [&str; 9] =
    ["n/a", "none", "null", "nil", "undefined", "unknown", "unspecified", "not specified", "not applicable"];

/// Whether this says that there is no name.
pub(super) fn is_no_name(raw: &str) -> bool {
    let raw = unmarked(raw);
    NO_NAMES.iter().any(|no_name| no_name.eq_ignore_ascii_case(raw))
}

/// Without the Markdown that makes all of a name bold or code.
fn unmarked(raw: &str) -> &str {
    let mut name = raw.trim();
    for mark in ["**", "*", "`"] {
        let inner = name.strip_prefix(mark).and_then(|name| name.strip_suffix(mark));
        name = inner.map(str::trim).filter(|inner| !inner.is_empty()).unwrap_or(name);
    }
    name
}

/// An entity's type: lower case without spaces, the first of a list. `None` when it is not a plain word.
pub(super) fn entity_type(raw: &str) -> Option<String> {
    let cleaned = one_line(&normalise(raw, Quotes::Remove));
    let first = cleaned.split(',').map(str::trim).find(|part| !part.is_empty())?;
    if first.contains(['\'', '(', ')', '<', '>', '|', '/', '\\']) || first.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    // Words like `__proto__` are no types.
    non_empty(&first.to_lowercase().replace(' ', "")).filter(|kind| kind.starts_with(char::is_alphanumeric))
}

/// The description of an entity or relation. `None` when nothing is left of it.
pub(super) fn description(raw: &str) -> Option<String> {
    let cleaned = normalise(raw, Quotes::Keep).replace(SEPARATOR, " ");
    non_empty(cleaned.chars().take(DESCRIPTION_CHARS_MAX).collect::<String>().trim())
}

/// Keywords from a list separated by ASCII or full-width commas.
pub(super) fn keywords(raw: &str) -> Vec<String> {
    let cleaned = one_line(&normalise(raw, Quotes::Remove)).replace('，', ",");
    cleaned.split(',').filter_map(|keyword| non_empty(keyword.trim())).collect()
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn one_line(text: &str) -> String {
    let is_fold = |c: char| c.is_ascii_whitespace() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = text.replace(SEPARATOR, " ");
    text.split(is_fold).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What happens to quotation marks inside the text; a pair around all of it always goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quotes {
    Keep,
    Remove,
}

/// `sanitize_and_normalize_extracted_text` of LightRAG 1.5.
pub(super) fn normalise(raw: &str, quotes: Quotes) -> String {
    let text = remove_breaks(&sanitise_plain(raw));
    let text: String = text.chars().map(half_width).collect();
    let mut text = remove_outer_quotes(&join_ideographs(&text)).to_owned();
    if quotes == Quotes::Remove {
        text = remove_inner_quotes(&text);
    }
    let text = text.trim();
    if is_bare_number(text) { String::new() } else { text.to_owned() }
}

/// Drops `<p>`, `</p>`, `<br>` and their variants.
fn remove_breaks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = break_length(rest).unwrap_or(0);
        if length == 0 {
            out.push('<');
        }
        rest = &rest[length.max(1)..];
    }
    out.push_str(rest);
    out
}

fn break_length(rest: &str) -> Option<usize> {
    let end = rest.bytes().take(12).position(|byte| byte == b'>')?;
    let name = rest[1..end].trim_start_matches('/').trim_end_matches('/').trim_end();
    ["p", "br"].iter().any(|tag| tag.eq_ignore_ascii_case(name)).then_some(end + 1)
}

fn half_width(c: char) -> char {
    match c {
        'Ａ'..='Ｚ' | 'ａ'..='ｚ' | '０'..='９' | '－' | '＋' | '／' | '＊' | '（' | '）' => {
            char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c)
        }
        '—' => '-',
        '\u{3000}' => ' ',
        _ => c,
    }
}

fn is_ideograph(c: char) -> bool {
    ('\u{4e00}'..='\u{9fa5}').contains(&c)
}

/// Drops the white space between two ideographs, and between an ideograph and ASCII.
fn join_ideographs(text: &str) -> String {
    let is_ascii_side = |c: char| c.is_ascii_alphanumeric() || "()[]@#$%!&*-=+_".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(char::is_whitespace) {
        out.push_str(&rest[..at]);
        let after = rest[at..].trim_start();
        let space = &rest[at..rest.len() - after.len()];
        let joins = match (out.chars().next_back(), after.chars().next()) {
            (Some(left), Some(right)) => {
                (is_ideograph(left) && (is_ideograph(right) || is_ascii_side(right)))
                    || (is_ascii_side(left) && is_ideograph(right))
            }
            _ => false,
        };
        if !joins {
            out.push_str(space);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn remove_outer_quotes(text: &str) -> &str {
    let mut text = text;
    for (open, close) in [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('《', '》')] {
        let inner = text.strip_prefix(open).and_then(|inner| inner.strip_suffix(close));
        text = inner.filter(|inner| !inner.contains([open, close])).unwrap_or(text);
    }
    text
}

fn remove_inner_quotes(text: &str) -> String {
    let chars: Vec<char> = text.chars().filter(|c| !matches!(c, '“' | '”' | '‘' | '’')).collect();
    let is_quote = |c: char| matches!(c, '\'' | '"');
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for run in chars.chunk_by(|&a, &b| is_quote(a) == is_quote(b)) {
        end += run.len();
        let before = out.chars().next_back().is_some_and(is_ideograph);
        let after = chars.get(end).copied().is_some_and(is_ideograph);
        if !(is_quote(run[0]) && (before || after)) {
            out.extend(run);
        }
    }
    narrow_spaces(&out.replace('\u{a0}', " "))
}

/// A narrow space stays only where it groups digits.
fn narrow_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let groups_digits = out.ends_with(|before: char| before.is_numeric());
        out.push(if c == '\u{202f}' && !groups_digits { ' ' } else { c });
    }
    out
}

/// One or two digits, or a short run of digits and dots, is no name.
fn is_bare_number(text: &str) -> bool {
    let length = text.chars().count();
    let is_digits = text.chars().all(|c| c.is_ascii_digit());
    let is_dotted = text.contains('.') && text.chars().all(|c| c.is_numeric() || c == '.');
    (is_digits && length < 3) || (is_dotted && length < 6)
}
