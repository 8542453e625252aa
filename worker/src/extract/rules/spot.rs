//! Spots names in a sentence by their capitals and identifiers by their shape.

use super::sentence::{Role, Sentence};
use super::token::{Gap, Shape, Token};
use super::usage::Usage;
use super::words::{
    CALENDAR, COMMON, COMPOUND_FIRST, COMPOUND_LAST, COMPOUND_TECHNICAL, CONNECTORS, FUNCTION, GIVEN_NAMES,
    PLACES, VERBS, technology,
};

/// Words in a name; longer runs are headlines.
const NAME_WORDS_MAX: usize = 6;

/// Technologies that are words as well when written small.
const AMBIGUOUS: [&str; 13] = [
    "go", "helm", "julia", "markdown", "nomad", "pandas", "rails", "react", "rust", "spark", "swift",
    "vault", "windows",
];

/// Name nothing by themselves.
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
        // "and" joins two names more often than it belongs to one, and "API of Redis" names no thing of its
        // own.
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

/// A number that belongs to a name, such as a year; versions change too often to name a thing.
fn is_edition(token: &Token) -> bool {
    token.shape == Shape::Number && token.text.len() <= 4 && token.text.chars().all(char::is_numeric)
}

fn is_connector(token: &Token) -> bool {
    token.shape == Shape::Lower && CONNECTORS.contains(&token.key.as_str())
}

/// Takes from the start of a run what only the start of a sentence gave its capital, and from both ends small
/// words.
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
        // A headline's words are names only where running text says so too.
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

/// The evidence that a single word with a capital is a name although every word has one there.
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
