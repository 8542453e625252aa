//! Frequent words and character sequences, for text in which capitals show no names.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::candidate::Mention;
use super::sentence::{Role, Sentence};
use super::spot::Span;
use super::token::{Gap, Shape, Token};
use super::words::{CALENDAR, COMMON, is_content};

/// Characters per term, where one writes a syllable or a word, and where one writes a sound.
const IDEOGRAPHS: RangeInclusive<usize> = 2..=6;
const LETTERS: RangeInclusive<usize> = 4..=12;
/// Characters that carry grammar in Chinese and Japanese; hiragana count as such too.
const GRAMMAR: &str = "的了是在和与與也有我他她它你们們这這那不就都而及等个個以对對于於到说說要没沒很从從被把让讓吗嗎呢吧啊着之其所或但并並已更最因则則只还還再又";

/// Words that may stand for what a chunk is about, from strict to lenient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tier {
    Content,
    AnyWord,
    Anything,
}

/// The mentions of at most `wanted` frequent terms, best first. Words that are part of a name already come
/// last.
pub(super) fn frequent_terms(
    sentences: &[Sentence],
    named: &HashSet<(usize, usize)>,
    wanted: usize,
) -> Vec<Vec<Mention>> {
    for tier in [Tier::Content, Tier::AnyWord, Tier::Anything] {
        let mut terms = words(sentences, named, tier);
        terms.truncate(wanted);
        if terms.len() >= wanted || tier == Tier::Anything {
            return terms;
        }
    }
    Vec::new()
}

fn words(sentences: &[Sentence], named: &HashSet<(usize, usize)>, tier: Tier) -> Vec<Vec<Mention>> {
    let mut found: HashMap<&str, Vec<Mention>> = HashMap::new();
    for (number, sentence) in sentences.iter().enumerate() {
        for (index, token) in sentence.tokens.iter().enumerate() {
            let is_free = tier == Tier::Anything || !named.contains(&(number, index));
            if is_free && is_term(token, sentence.role, tier) {
                let mention = Mention { sentence: number, span: Span { first: index, last: index } };
                found.entry(&token.key).or_default().push(mention);
            }
        }
    }
    ranked(found)
}

fn is_term(token: &Token, role: Role, tier: Tier) -> bool {
    let length = token.text.chars().count();
    let is_long = length >= if token.text.is_ascii() { 4 } else { 2 };
    let is_word = !matches!(token.shape, Shape::Number | Shape::Character | Shape::Data);
    match tier {
        Tier::Content => {
            let is_stop = COMMON.contains(&token.key) || CALENDAR.contains(&token.key);
            is_word && is_long && !is_stop && is_content(&token.key) && role != Role::Code
        }
        Tier::AnyWord => is_word && is_content(&token.key) && length > 1,
        Tier::Anything => true,
    }
}

/// More often before less often, early before late.
fn ranked<K: Ord>(found: HashMap<K, Vec<Mention>>) -> Vec<Vec<Mention>> {
    let mut ranked: Vec<(K, Vec<Mention>)> = found.into_iter().collect();
    let place = |mentions: &[Mention]| mentions.first().map(|mention| (mention.sentence, mention.span.first));
    ranked.sort_by(|(a_key, a), (b_key, b)| (b.len(), place(a), a_key).cmp(&(a.len(), place(b), b_key)));
    ranked.into_iter().map(|(_, mentions)| mentions).collect()
}

/// Number of characters of scripts without spaces.
pub(super) fn unspaced_chars(sentences: &[Sentence]) -> usize {
    let tokens = sentences.iter().flat_map(|sentence| &sentence.tokens);
    tokens.filter(|token| token.shape == Shape::Character).count()
}

/// The mentions of at most `wanted` character sequences that occur again and again; rare ones only if there
/// are fewer than two others.
pub(super) fn frequent_sequences(sentences: &[Sentence], wanted: usize) -> Vec<Vec<Mention>> {
    let counted = sequences(sentences, is_meaningful);
    let frequent = counted.iter().filter(|(_, mentions)| mentions.len() > 1);
    let mut chosen = choose(frequent.collect(), wanted);
    if chosen.len() < 2 {
        chosen = choose(counted.iter().collect(), wanted.min(4));
    }
    if chosen.len() < 2 {
        let any = sequences(sentences, |_| true);
        chosen = choose(any.iter().collect(), 2);
    }
    chosen
}

fn sequences(sentences: &[Sentence], accepts: impl Fn(&Token) -> bool) -> HashMap<String, Vec<Mention>> {
    let mut found: HashMap<String, Vec<Mention>> = HashMap::new();
    for (number, sentence) in sentences.iter().enumerate() {
        for first in 0..sentence.tokens.len() {
            let lengths = lengths_from(&sentence.tokens[first]);
            let mut text = String::new();
            for (index, token) in sentence.tokens.iter().enumerate().skip(first).take(*lengths.end()) {
                let continues = index == first || token.gap == Gap::None;
                if token.shape != Shape::Character || !continues || !accepts(token) {
                    break;
                }
                text.push_str(&token.text);
                if index + 1 >= first + lengths.start() {
                    let mention = Mention { sentence: number, span: Span { first, last: index } };
                    found.entry(text.clone()).or_default().push(mention);
                }
            }
        }
    }
    found
}

fn lengths_from(token: &Token) -> RangeInclusive<usize> {
    let is_ideograph = token.text.starts_with(|c: char| c >= '\u{3000}');
    if is_ideograph { IDEOGRAPHS } else { LETTERS }
}

fn is_meaningful(token: &Token) -> bool {
    let first = token.text.chars().next().unwrap_or(' ');
    !('\u{3041}'..='\u{3096}').contains(&first) && !GRAMMAR.contains(first)
}

/// Picks by frequency times length, and never a part of what is picked already or a whole around it.
fn choose(counted: Vec<(&String, &Vec<Mention>)>, wanted: usize) -> Vec<Vec<Mention>> {
    let mut ranked = counted;
    let score = |text: &str, mentions: &[Mention]| mentions.len() * (text.chars().count() - 1);
    ranked.sort_by(|(a, a_mentions), (b, b_mentions)| {
        let place =
            |mentions: &[Mention]| mentions.first().map(|mention| (mention.sentence, mention.span.first));
        let order = score(b, b_mentions).cmp(&score(a, a_mentions));
        order.then_with(|| (place(a_mentions), a).cmp(&(place(b_mentions), b)))
    });
    let mut chosen: Vec<(&str, Vec<Mention>)> = Vec::new();
    for (text, mentions) in ranked {
        if chosen.len() >= wanted {
            break;
        }
        let overlaps =
            |other: &str| other.contains(text.as_str()) || text.contains(other) || shares_edge(other, text);
        if !chosen.iter().any(|(other, _)| overlaps(other)) {
            chosen.push((text, mentions.clone()));
        }
    }
    chosen.into_iter().map(|(_, mentions)| mentions).collect()
}

/// Whether one sequence ends as the other begins, for they are then two views of the same phrase.
fn shares_edge(a: &str, b: &str) -> bool {
    let edge = |a: &str, b: &str| {
        let starts: HashSet<&str> = a
            .char_indices()
            .skip(1)
            .map(|(at, _)| &a[at..])
            .filter(|tail| tail.chars().count() > 1)
            .collect();
        starts.iter().any(|tail| b.starts_with(tail))
    };
    edge(a, b) || edge(b, a)
}
