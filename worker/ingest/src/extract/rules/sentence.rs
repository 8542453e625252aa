//! Cuts a chunk into sentences, and tells headings, list items, table rows and code from running text.
//!
//! Cuts a sentence into words.

use worker::compute::{Stopped, Turn};

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

/// Indented like code and with the punctuation of code, because novels indent their paragraphs as well.
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

/// Whether every word of weight has a capital, so that capitals are no evidence.
fn is_title_case(tokens: &[Token]) -> bool {
    let long = || tokens.iter().filter(|token| token.key.chars().count() > 3 && token.shape != Shape::Number);
    let capital = |token: &&Token| matches!(token.shape, Shape::Capital | Shape::Acronym);
    long().count() >= 5 && long().all(|token| capital(&token))
}

/// Longer runs are data, not words.
const WORD_BYTES_MAX: usize = 64;
/// Data is cut into pieces of at most this length, so that reading it takes linear time.
const DATA_BYTES_MAX: usize = 80;

/// The form of a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// `word`, and words of scripts without case.
    Lower,
    /// `Word`.
    Capital,
    /// `WORD`, `UTF-8`.
    Acronym,
    /// `CamelCase`, `camelCase`.
    Camel,
    /// `snake_case`, `a::b`.
    Code,
    Number,
    /// One character of a script that does not part its words.
    Character,
    /// A run too long to be a word.
    Data,
}

/// What precedes a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gap {
    Space,
    /// As in "J. R. Smith".
    Dot,
    /// As in "Marks & Spencer".
    And,
    /// Nothing.
    None,
    /// Punctuation, or the start of the sentence.
    Break,
}

impl Gap {
    /// How the gap is written inside a name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Space => " ",
            Self::Dot => ". ",
            Self::And => " & ",
            Self::None | Self::Break => "",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    /// Lower case.
    pub(super) key: String,
    pub(super) shape: Shape,
    pub(super) gap: Gap,
    /// The word was in the possessive: "Redis's".
    pub(super) is_possessive: bool,
    /// The first character that follows the word.
    pub(super) next: Option<char>,
}

impl Token {
    /// Whether the word may go on with the name before it.
    pub(super) fn is_near(&self) -> bool {
        matches!(self.gap, Gap::Space | Gap::Dot | Gap::And)
    }

    pub(super) fn is_name_like(&self) -> bool {
        matches!(self.shape, Shape::Capital | Shape::Acronym | Shape::Camel)
    }
}

/// The words of a text; addresses of pages and mailboxes are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut previous_end, mut run_end) = (0, 0, 0);
    while let Some(first) = text[at..].chars().next() {
        if at >= run_end && !first.is_whitespace() {
            let length = text[at..].find(char::is_whitespace).unwrap_or(text.len() - at);
            run_end = at + length;
            if is_address(&text[at..run_end]) {
                at = run_end;
                continue;
            }
        }
        if !starts_word(first) {
            at += first.len_utf8();
            continue;
        }
        let gap = gap_between(tokens.last(), &text[previous_end..at]);
        let end = at + word_length(&text[at..text.floor_char_boundary(at + DATA_BYTES_MAX)]);
        let mut token = token(&text[at..end], gap, text[end..].chars().next());
        if gap == Gap::None && tokens.last().is_some_and(|previous| previous.shape == Shape::Data) {
            token.shape = Shape::Data;
        }
        tokens.push(token);
        (at, previous_end) = (end, end);
    }
    tokens
}

fn token(word: &str, gap: Gap, next: Option<char>) -> Token {
    let mut text = word;
    for possessive in ["'s", "’s", "'S", "’S"] {
        text = text.strip_suffix(possessive).filter(|stem| !stem.is_empty()).unwrap_or(text);
    }
    let is_possessive = text.len() < word.len();
    let shape = shape_of(text);
    // "APIs" are many of the same "API".
    let text = if shape == Shape::Acronym { text.strip_suffix('s').unwrap_or(text) } else { text };
    Token { text: text.to_owned(), key: text.to_lowercase(), shape, gap, is_possessive, next }
}

fn gap_between(previous: Option<&Token>, between: &str) -> Gap {
    let Some(previous) = previous else { return Gap::Break };
    let is_initial = previous.shape == Shape::Capital && previous.text.chars().count() == 1;
    match between {
        "" => Gap::None,
        _ if previous.is_possessive => Gap::Break,
        " " => Gap::Space,
        ". " | "." if is_initial => Gap::Dot,
        " & " if previous.is_name_like() => Gap::And,
        _ => Gap::Break,
    }
}

fn is_address(run: &str) -> bool {
    let at_sign = run.find('@').is_some_and(|at| at > 0 && run[at + 1..].contains('.'));
    run.contains("://") || run.starts_with("www.") || at_sign
}

fn starts_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Combining marks that Rust does not count as alphabetic, such as viramas, tone marks and vowel points.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}')
        || matches!(c, '\u{200c}' | '\u{200d}')
        || (matches!(c, '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{e4e}' | '\u{eb1}'..='\u{ece}')
            && !matches!(c, '।' | '॥'))
        || matches!(c, '\u{f71}'..='\u{f84}' | '\u{102b}'..='\u{103e}' | '\u{17b4}'..='\u{17d3}')
}

/// Characters of scripts that are written without spaces between words.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}')
        || matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
        || matches!(c, '\u{20000}'..='\u{3ffff}')
        || matches!(c, '\u{e01}'..='\u{e30}' | '\u{e32}' | '\u{e33}' | '\u{e40}'..='\u{e46}')
        || matches!(c, '\u{e81}'..='\u{eb0}' | '\u{ec0}'..='\u{ec6}' | '\u{f40}'..='\u{f6c}')
        || matches!(c, '\u{1000}'..='\u{102a}' | '\u{1780}'..='\u{17b3}')
}

fn word_length(rest: &str) -> usize {
    let mut chars = rest.char_indices();
    let Some((_, first)) = chars.next() else { return 0 };
    let is_unspaced_word = is_unspaced(first);
    let mut previous = first;
    for (at, c) in chars {
        let continues = if is_unspaced_word {
            is_mark(c)
        } else {
            (starts_word(c) && !is_unspaced(c)) || is_mark(c) || joins(previous, &rest[at..])
        };
        if !continues {
            let is_language = at == 1 && first.is_ascii_uppercase();
            return match &rest[at..] {
                after if is_language && after.starts_with("++") => at + 2,
                after if is_language && after.starts_with('#') => at + 1,
                _ => at,
            };
        }
        previous = c;
    }
    rest.len()
}

/// Whether the punctuation at the start of `rest` belongs to the word around it.
fn joins(previous: char, rest: &str) -> bool {
    let mut chars = rest.chars();
    let (mark, next) = (chars.next().unwrap_or(' '), chars.next().unwrap_or(' '));
    match mark {
        '\'' | '’' | '-' | '.' => previous.is_alphanumeric() && next.is_alphanumeric(),
        '&' => previous.is_uppercase() && next.is_uppercase(),
        ':' if previous == ':' => starts_word(next),
        ':' => next == ':' && chars.next().is_some_and(starts_word),
        _ => false,
    }
}

fn shape_of(word: &str) -> Shape {
    let first = word.chars().next().unwrap_or(' ');
    if word.len() > WORD_BYTES_MAX {
        return Shape::Data;
    }
    if is_unspaced(first) {
        return Shape::Character;
    }
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    if letters().next().is_none() {
        return if word.contains('_') { Shape::Data } else { Shape::Number };
    }
    if word.contains("::") || (word.contains('_') && letters().count() > 1) {
        return Shape::Code;
    }
    let capitals = letters().filter(|c| c.is_uppercase()).count();
    let smalls = letters().count() - capitals;
    let is_plural = word.ends_with('s') && smalls == 1;
    match () {
        () if capitals > 1 && (smalls == 0 || is_plural) => Shape::Acronym,
        () if has_hump(word) => Shape::Camel,
        () if first.is_uppercase() => Shape::Capital,
        () => Shape::Lower,
    }
}

/// Whether a capital follows a small letter, as in `OpenApi` and unlike "`McDonald`" and "Jean-Paul".
fn has_hump(word: &str) -> bool {
    let humps = word
        .char_indices()
        .zip(word.chars().skip(1))
        .filter(|((_, a), b)| a.is_lowercase() && b.is_uppercase());
    let is_family = |at: usize| matches!(&word[..=at], "Mc" | "Mac" | "De" | "Di" | "La" | "Le" | "Van");
    humps.into_iter().any(|((at, a), _)| !(a.is_ascii() && is_family(at)))
}
