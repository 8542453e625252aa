//! How a chunk uses its words: the evidence for what is a name.

use std::collections::HashMap;

use super::sentence::{Role, Sentence};
use super::token::{Gap, Shape};

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Written small.
    lower: usize,
    /// Written with a capital where only a name has one.
    capital: usize,
    /// Written with a capital where every word has one.
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
    /// Whether a capital at this place says nothing: in a heading, at the start, and behind `:`, `|` and
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
