//! Cuts a sentence into words.

/// Longer runs are data, not words.
const WORD_BYTES_MAX: usize = 64;
/// Data is cut into pieces of at most this length, so that reading it takes linear time.
const DATA_BYTES_MAX: usize = 80;

/// The shape of a word.
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

/// What stands before a word.
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
