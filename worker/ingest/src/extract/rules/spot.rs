//! Finds names in a sentence by their capitals and identifiers by their form.
//!
//! [`Usage`] counts how a chunk writes its words: the evidence for what is a name.
//!
//! [`Words`] are the word lists.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::sentence::{Gap, Role, Sentence, Shape, Token};

/// Words in a name; longer runs are headlines.
const NAME_WORDS_MAX: usize = 6;

/// Technologies whose names are ordinary words when written in lower case.
const AMBIGUOUS: [&str; 13] = [
    "go", "helm", "julia", "markdown", "nomad", "pandas", "rails", "react", "rust", "spark", "swift",
    "vault", "windows",
];

/// Legal forms of companies, which name nothing by themselves.
const LEGAL_FORMS: [&str; 6] = ["co", "corp", "gmbh", "inc", "llc", "ltd"];

/// Endings of adjectives.
const ADJECTIVE_ENDINGS: [&str; 7] = ["able", "ible", "ful", "ing", "less", "ly", "ous"];

/// A name within a sentence: the tokens from `first` to `last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// The names in a sentence, from left to right.
pub(super) fn spans(sentence: &Sentence, usage: &Usage) -> Vec<Span> {
    let tokens = &sentence.tokens;
    let is_shouted = is_shouted(sentence);
    let mut spans = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_identifier(&tokens[at], usage) {
            spans.push(Span { first: at, last: at });
        } else if tokens[at].is_name_like() && sentence.role != Role::Code && !is_shouted {
            let last = run_end(tokens, at);
            let run = Span { first: at, last };
            spans.extend(trimmed(sentence, run, usage).filter(|&span| is_name(sentence, span, usage)));
            at = last;
        }
        at += 1;
    }
    spans
}

fn is_shouted(sentence: &Sentence) -> bool {
    let words = || sentence.tokens.iter().filter(|token| !matches!(token.shape, Shape::Number | Shape::Data));
    let acronyms = words().filter(|token| token.shape == Shape::Acronym).count();
    acronyms >= 4 && acronyms * 2 > words().count()
}

/// The last token of the run of name-like words that starts here, with connectors inside and a number at its
/// end.
fn run_end(tokens: &[Token], first: usize) -> usize {
    let is_near = |index: usize| tokens.get(index).filter(|token| token.is_near());
    let mut last = first;
    loop {
        let next = is_near(last + 1);
        if next.is_some_and(Token::is_name_like) {
            last += 1;
            continue;
        }
        if next.is_some_and(is_edition) {
            return last + 1;
        }
        let connectors =
            (1..=2).take_while(|&offset| is_near(last + offset).is_some_and(is_connector)).count();
        let behind = last + connectors + 1;
        // `and` joins two names more often than it belongs to one, and `API of Redis` is not a name of its own.
        let joins = match tokens.get(last + 1).map_or("", |token| token.key.as_str()) {
            "and" => connectors > 1,
            "of" => tokens[last].shape == Shape::Capital,
            _ => connectors > 0,
        };
        if !joins || !is_near(behind).is_some_and(Token::is_name_like) {
            return last;
        }
        last = behind;
    }
}

/// A number that belongs to a name, such as a year; version numbers change too often to be part of one.
fn is_edition(token: &Token) -> bool {
    token.shape == Shape::Number && token.text.len() <= 4 && token.text.chars().all(char::is_numeric)
}

fn is_connector(token: &Token) -> bool {
    token.shape == Shape::Lower && CONNECTORS.contains(&token.key.as_str())
}

/// Removes from the start of a run words that owe their capital to the start of the sentence, and from both ends
/// words in lower case.
fn trimmed(sentence: &Sentence, run: Span, usage: &Usage) -> impl Iterator<Item = Span> {
    let tokens = &sentence.tokens;
    let Span { mut first, mut last } = run;
    while first < last {
        let token = &tokens[first];
        let is_opener = sentence.is_initial(first)
            && token.shape == Shape::Capital
            && !usage.is_name(&token.key)
            && (COMMON.contains(&token.key) || usage.is_ever_lower(&token.key) || is_gerund(&token.key));
        if !(is_opener || is_small(token) || is_connector(token)) {
            break;
        }
        first += 1;
    }
    while last > first && (is_small(&tokens[last]) || is_connector(&tokens[last])) {
        last -= 1;
    }
    std::iter::once(Span { first, last })
}

fn is_gerund(key: &str) -> bool {
    key.len() > 5 && key.ends_with("ing")
}

fn is_small(token: &Token) -> bool {
    let is_stray_letter = token.text.chars().count() == 1 && token.next != Some('.') && token.text != "C";
    is_stray_letter || FUNCTION.contains(&token.key) || token.text.chars().all(|c| c.is_ascii_punctuation())
}

fn is_name(sentence: &Sentence, span: Span, usage: &Usage) -> bool {
    let tokens = &sentence.tokens[span.first..=span.last];
    let names = tokens.iter().filter(|token| token.is_name_like());
    if names.clone().count() > NAME_WORDS_MAX || names.clone().all(|token| CALENDAR.contains(&token.key)) {
        return false;
    }
    if tokens.len() > 1 && names.clone().count() > 1 {
        // In a headline every word may have a capital, so running text has to confirm the name.
        return sentence.role != Role::Heading || names.clone().all(|token| is_known(token, usage));
    }
    let token = &tokens[0];
    let is_short = token.text.chars().count() < 2;
    if is_short
        || is_small(token)
        || LEGAL_FORMS.contains(&token.key.as_str())
        || CALENDAR.contains(&token.key)
    {
        return false;
    }
    if token.key.rsplit_once('-').is_some_and(|(_, part)| COMPOUND_LAST.contains(part)) {
        return false;
    }
    match token.shape {
        Shape::Acronym | Shape::Camel => !COMMON.contains(&token.key),
        _ if sentence.is_initial(span.first) => is_initial_name(sentence, span, usage),
        _ => !(COMMON.contains(&token.key) && usage.is_ever_lower(&token.key)),
    }
}

fn is_known(token: &Token, usage: &Usage) -> bool {
    token.shape != Shape::Capital || usage.is_name(&token.key)
}

/// Whether a single word with a capital at the start of a sentence or in a heading is a name nevertheless.
fn is_initial_name(sentence: &Sentence, span: Span, usage: &Usage) -> bool {
    let token = &sentence.tokens[span.first];
    let is_adjective = ADJECTIVE_ENDINGS.iter().any(|ending| token.key.ends_with(ending));
    if COMMON.contains(&token.key) || usage.is_ever_lower(&token.key) {
        return false;
    }
    let is_listed =
        PLACES.contains(&token.key) || GIVEN_NAMES.contains(&token.key) || technology(&token.key).is_some();
    let next = sentence.tokens.get(span.last + 1).filter(|next| next.gap == Gap::Space);
    let is_subject = next.is_some_and(|next| VERBS.contains(&next.key));
    let is_defined = span.first == 0 && token.next == Some(':') && sentence.role == Role::Prose;
    is_listed
        || token.is_possessive
        || (!is_adjective && (is_subject || is_defined || usage.is_name(&token.key)))
}

/// Whether a word is the name of a piece of software by its shape alone.
fn is_identifier(token: &Token, usage: &Usage) -> bool {
    match token.shape {
        Shape::Code => true,
        Shape::Lower => {
            let is_word = AMBIGUOUS.contains(&token.key.as_str());
            (technology(&token.key).is_some() && !is_word) || is_compound(token, usage)
        }
        _ => false,
    }
}

/// `tokio-util` is a name, "well-known" is not.
fn is_compound(token: &Token, usage: &Usage) -> bool {
    let parts = || token.key.split('-');
    if !token.key.is_ascii()
        || parts().count() < 2
        || parts().any(|part| part.is_empty() || FUNCTION.contains(part))
    {
        return false;
    }
    let is_ordinary = parts().next().is_some_and(|part| COMPOUND_FIRST.contains(part))
        || parts().next_back().is_some_and(|part| COMPOUND_LAST.contains(part));
    let is_technical = parts().any(|part| COMPOUND_TECHNICAL.contains(part));
    is_technical && !is_ordinary && (usage.count(&token.key) > 1 || parts().all(|part| part.len() > 1))
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Count in lower case.
    lower: usize,
    /// Count with a capital where only names have one.
    capital: usize,
    /// Count with a capital where every word has one.
    initial: usize,
}

/// Counts of every word of a chunk, by its lower-case form.
#[derive(Debug, Default)]
pub(super) struct Usage(HashMap<String, Use>);

impl Usage {
    pub(super) fn of(sentences: &[Sentence]) -> Self {
        let mut usage = Self::default();
        for sentence in sentences.iter().filter(|sentence| sentence.role != Role::Code) {
            for (index, token) in sentence.tokens.iter().enumerate() {
                let counts = usage.0.entry(token.key.clone()).or_default();
                match token.shape {
                    Shape::Lower => counts.lower += 1,
                    _ if sentence.is_initial(index) => counts.initial += 1,
                    _ => counts.capital += 1,
                }
            }
        }
        usage
    }

    /// Whether a word written with a capital at the start of a sentence is a name nevertheless.
    pub(super) fn is_name(&self, key: &str) -> bool {
        let counts = self.get(key);
        counts.capital > counts.lower || (counts.lower == 0 && counts.initial > 1)
    }

    pub(super) fn is_ever_lower(&self, key: &str) -> bool {
        self.get(key).lower > 0
    }

    pub(super) fn count(&self, key: &str) -> usize {
        let counts = self.get(key);
        counts.lower + counts.capital + counts.initial
    }

    fn get(&self, key: &str) -> Use {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl Sentence {
    /// Whether a capital at this position is no evidence: in a heading, at the start, and behind `:`, `|` and
    /// quotes.
    pub(super) fn is_initial(&self, index: usize) -> bool {
        self.role == Role::Heading
            || index == 0
            || (self.tokens[index].gap == Gap::Break && self.opens(index))
    }

    fn opens(&self, index: usize) -> bool {
        let next = self.tokens[index - 1].next;
        next.is_some_and(|mark| matches!(mark, ':' | '|' | '.' | '!' | '?' | '"' | '“' | '(' | ')' | ']'))
            || self.text.contains(" | ")
    }
}

/// A set of words from a file.
pub(super) struct Words(LazyLock<HashSet<&'static str>>);

impl Words {
    pub(super) fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub(super) static $name: Words =
            Words(LazyLock::new(|| {
                include_str!(concat!("words/", $file, ".txt")).split_whitespace().collect()
            }));)*
    };
}

words! {
    /// English words that carry grammar, not content.
    FUNCTION = "function";
    /// The same for other languages; some are parts of English names ("Los").
    FUNCTION_OTHER = "function_other";
    /// Words that often begin English sentences and headings and name nothing.
    COMMON = "common";
    CALENDAR = "calendar";
    /// Verbs and the like that only a name has before it: "Redis is", "Acme builds".
    VERBS = "verbs";
    /// First parts of ordinary hyphenated words.
    COMPOUND_FIRST = "compound_first";
    /// Last parts of ordinary hyphenated words.
    COMPOUND_LAST = "compound_last";
    /// Parts that ordinary hyphenated words do not have.
    COMPOUND_TECHNICAL = "compound_technical";
    GIVEN_NAMES = "given_names";
    PLACES = "places";
}

static TECHNOLOGIES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    include_str!("words/technologies.txt")
        .split_whitespace()
        .map(|name| (name.to_lowercase(), name))
        .collect()
});

/// The usual spelling of a well-known technology, by its lower-case form.
pub(super) fn technology(key: &str) -> Option<&'static str> {
    TECHNOLOGIES.get(key).copied()
}

static HEADS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut kind = "";
    let words =
        include_str!("words/heads.txt").split_whitespace().filter_map(|word| match word.strip_suffix(':') {
            Some(name) => {
                kind = name;
                None
            }
            None => Some((word, kind)),
        });
    words.collect()
});

/// The entity type that a head noun stands for: a "bank" is an "organization".
pub(super) fn head_of_kind(word: &str) -> Option<&'static str> {
    HEADS.get(word).copied()
}

/// Lower-case words inside a name: "University of the Arts", "Ludwig van Beethoven".
pub(super) const CONNECTORS: [&str; 21] = [
    "al", "and", "bin", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "ibn", "la", "le",
    "of", "the", "van", "von", "y",
];

/// Whether a lower-case word carries meaning by itself.
pub(super) fn is_content(word: &str) -> bool {
    !FUNCTION.contains(word) && !FUNCTION_OTHER.contains(word)
}
