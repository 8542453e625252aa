//! Frequent words and character sequences, for text in which capitals do not mark names.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::{Range, RangeInclusive};

use worker::compute::{Stopped, Turn};

use super::candidate::Mention;
use super::sentence::{Gap, Role, Sentence, Shape, Token};
use super::spot::{CALENDAR, COMMON, Span, is_content};

/// Characters per term, in scripts where one writes a syllable or a word, and in those where one writes a sound.
const IDEOGRAPHS: RangeInclusive<usize> = 2..=6;
const LETTERS: RangeInclusive<usize> = 4..=12;
/// Characters that carry grammar in Chinese and Japanese; hiragana count as such too.
const GRAMMAR: &str = "的了是在和与與也有我他她它你们們这這那不就都而及等个個以对對于於到说說要没沒很从從被把让讓吗嗎呢吧啊着之其所或但并並已更最因则則只还還再又";

/// Words that may serve as topics of a chunk, from strict to lenient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tier {
    Content,
    AnyWord,
    Anything,
}

/// The mentions of at most `wanted` frequent terms, best first. Words that are already part of a name come last.
pub(super) fn frequent_terms(
    sentences: &[Sentence],
    named: &HashSet<(usize, usize)>,
    wanted: usize,
    turn: &Turn,
) -> Result<Vec<Vec<Mention>>, Stopped> {
    for tier in [Tier::Content, Tier::AnyWord, Tier::Anything] {
        let mut terms = words(sentences, named, tier, turn)?;
        terms.truncate(wanted);
        if terms.len() >= wanted || tier == Tier::Anything {
            return Ok(terms);
        }
    }
    Ok(Vec::new())
}

fn words(
    sentences: &[Sentence],
    named: &HashSet<(usize, usize)>,
    tier: Tier,
    turn: &Turn,
) -> Result<Vec<Vec<Mention>>, Stopped> {
    let mut found: HashMap<&str, Vec<Mention>> = HashMap::new();
    for (number, sentence) in sentences.iter().enumerate() {
        turn.check(sentence.text.len())?;
        for (index, token) in sentence.tokens.iter().enumerate() {
            let is_free = tier == Tier::Anything || !named.contains(&(number, index));
            if is_free && is_term(token, sentence.role, tier) {
                let mention = Mention { sentence: number, span: Span { first: index, last: index } };
                found.entry(&token.key).or_default().push(mention);
            }
        }
    }
    Ok(ranked(found))
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

/// More frequent before less frequent, then in reading order.
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

/// The mentions of at most `wanted` character sequences that are repeated; rare ones only if there are fewer than
/// two others.
pub(super) fn frequent_sequences(
    sentences: &[Sentence],
    wanted: usize,
    turn: &Turn,
) -> Result<Vec<Vec<Mention>>, Stopped> {
    let meaningful = Sequences::of(sentences, is_meaningful, turn)?;
    let mut chosen = meaningful.choose(2, wanted, turn)?;
    if chosen.len() < 2 {
        chosen = meaningful.choose(1, wanted.min(4), turn)?;
    }
    if chosen.len() < 2 {
        chosen = Sequences::of(sentences, |_| true, turn)?.choose(1, 2, turn)?;
    }
    Ok(chosen)
}

/// How many of the best sequences are considered: overlaps rule most out, and a chunk without spaces has as many
/// sequences as characters, several times over.
const CONSIDERED: usize = 4_000;

const TOKEN_END: char = '\0';

/// The characters of scripts without spaces, sorted by what follows them (a suffix array): equal sequences stand
/// side by side, so counting them takes memory for each character and not for each sequence.
struct Sequences {
    /// With [`TOKEN_END`] behind each, so that a character never equals the start of one with marks.
    text: String,
    /// In reading order.
    spots: Vec<Spot>,
    /// Numbers of spots, sorted by the text that begins there.
    sorted: Vec<usize>,
}

/// A character of the text.
struct Spot {
    sentence: usize,
    token: usize,
    /// Where it begins in the text.
    start: usize,
    /// The first spot that does not go on with this one.
    run_end: usize,
}

/// Equal sequences: a range of the sorted spots, their length in characters, and their score.
struct Group {
    score: usize,
    /// The number of the first spot.
    first: usize,
    range: Range<usize>,
    length: usize,
}

impl Sequences {
    fn of(sentences: &[Sentence], accepts: impl Fn(&Token) -> bool, turn: &Turn) -> Result<Self, Stopped> {
        let (mut text, mut spots) = (String::new(), Vec::<Spot>::new());
        for (number, sentence) in sentences.iter().enumerate() {
            turn.check(sentence.text.len())?;
            let mut run_start = spots.len();
            for (index, token) in sentence.tokens.iter().enumerate() {
                let accepted = token.shape == Shape::Character && accepts(token);
                if !accepted || token.gap != Gap::None {
                    end_run(&mut spots, run_start);
                    run_start = spots.len();
                }
                if accepted {
                    spots.push(Spot { sentence: number, token: index, start: text.len(), run_end: 0 });
                    text.push_str(&token.text);
                    text.push(TOKEN_END);
                }
            }
            end_run(&mut spots, run_start);
        }
        let mut sequences = Self { text, sorted: (0..spots.len()).collect(), spots };
        let mut sorted = std::mem::take(&mut sequences.sorted);
        sorted.sort_unstable_by(|&a, &b| sequences.tail(a).cmp(sequences.tail(b)).then(a.cmp(&b)));
        sequences.sorted = sorted;
        turn.check(sequences.text.len())?;
        Ok(sequences)
    }

    /// How many characters a sequence may have that begins here.
    fn lengths(&self, spot: usize) -> RangeInclusive<usize> {
        if self.text[self.spots[spot].start..].starts_with(|c: char| c >= '\u{3000}') {
            IDEOGRAPHS
        } else {
            LETTERS
        }
    }

    /// The longest sequence that begins at the spot.
    fn tail(&self, spot: usize) -> &str {
        let longest = *self.lengths(spot).end();
        self.slice(spot, longest.min(self.spots[spot].run_end - spot))
    }

    fn slice(&self, spot: usize, length: usize) -> &str {
        let end = self.spots.get(spot + length).map_or(self.text.len(), |spot| spot.start);
        &self.text[self.spots[spot].start..end]
    }

    /// Picks sequences that occur at least `least` times by frequency times length, early ones first among equals,
    /// and never one that contains a picked one or is contained in it.
    fn choose(&self, least: usize, wanted: usize, turn: &Turn) -> Result<Vec<Vec<Mention>>, Stopped> {
        let mut chosen: Vec<(String, Vec<Mention>)> = Vec::new();
        for group in self.best(least, turn)? {
            turn.check(self.text.len().min(256))?;
            if chosen.len() >= wanted {
                break;
            }
            let text = self.slice(group.first, group.length).replace(TOKEN_END, "");
            let overlaps =
                |other: &str| other.contains(&text) || text.contains(other) || shares_edge(other, &text);
            if !chosen.iter().any(|(other, _)| overlaps(other)) {
                chosen.push((text, self.mentions(&group)));
            }
        }
        Ok(chosen.into_iter().map(|(_, mentions)| mentions).collect())
    }

    /// The best groups, best first.
    fn best(&self, least: usize, turn: &Turn) -> Result<Vec<Group>, Stopped> {
        let mut groups: Vec<Group> = Vec::new();
        let rank = |group: &Group| (Reverse(group.score), group.first, group.length);
        for length in *IDEOGRAPHS.start()..=*LETTERS.end() {
            let mut start = 0;
            while start < self.sorted.len() {
                turn.check(1)?;
                let spot = self.sorted[start];
                if !self.lengths(spot).contains(&length) || self.spots[spot].run_end - spot < length {
                    start += 1;
                    continue;
                }
                let text = self.slice(spot, length);
                let same = self.sorted[start..].iter().take_while(|&&spot| self.tail(spot).starts_with(text));
                let range = start..start + same.count();
                start = range.end;
                if range.len() < least {
                    continue;
                }
                let first = self.sorted[range.clone()].iter().copied().min().unwrap_or(spot);
                let chars = text.chars().filter(|&c| c != TOKEN_END).count();
                let score = range.len() * (chars - 1);
                groups.push(Group { score, first, range, length });
                if groups.len() >= 2 * CONSIDERED {
                    groups.select_nth_unstable_by_key(CONSIDERED, rank);
                    groups.truncate(CONSIDERED);
                }
            }
        }
        groups.sort_unstable_by_key(rank);
        Ok(groups)
    }

    fn mentions(&self, group: &Group) -> Vec<Mention> {
        let mut spots = self.sorted[group.range.clone()].to_vec();
        spots.sort_unstable();
        let mention = |spot: usize| {
            let Spot { sentence, token, .. } = self.spots[spot];
            Mention { sentence, span: Span { first: token, last: token + group.length - 1 } }
        };
        spots.into_iter().map(mention).collect()
    }
}

/// Ends the run of spots that began at `start`.
fn end_run(spots: &mut [Spot], start: usize) {
    let end = spots.len();
    for spot in &mut spots[start..] {
        spot.run_end = end;
    }
}

fn is_meaningful(token: &Token) -> bool {
    let first = token.text.chars().next().unwrap_or(' ');
    !('\u{3041}'..='\u{3096}').contains(&first) && !GRAMMAR.contains(first)
}

/// Whether one sequence ends as the other begins: then both show parts of the same phrase.
fn shares_edge(a: &str, b: &str) -> bool {
    let edge = |a: &str, b: &str| {
        let tails = a.char_indices().skip(1).map(|(at, _)| &a[at..]);
        tails.filter(|tail| tail.chars().nth(1).is_some()).any(|tail| b.starts_with(tail))
    };
    edge(a, b) || edge(b, a)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::extract::rules::sentence::sentences;

    /// The naive way, to compare with: every sequence with all its mentions. Takes memory for each.
    fn counted(sentences: &[Sentence], least: usize) -> Vec<(String, Vec<Mention>)> {
        let mut found: HashMap<String, Vec<Mention>> = HashMap::new();
        for (number, sentence) in sentences.iter().enumerate() {
            for first in 0..sentence.tokens.len() {
                let is_ideograph = sentence.tokens[first].text.starts_with(|c: char| c >= '\u{3000}');
                let lengths = if is_ideograph { IDEOGRAPHS } else { LETTERS };
                let mut text = String::new();
                for (index, token) in sentence.tokens.iter().enumerate().skip(first).take(*lengths.end()) {
                    let continues = index == first || token.gap == Gap::None;
                    if token.shape != Shape::Character || !continues || !is_meaningful(token) {
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
        let mut ranked: Vec<_> = found.into_iter().filter(|(_, mentions)| mentions.len() >= least).collect();
        ranked.sort_by_key(|(text, mentions)| {
            let score = mentions.len() * (text.chars().count() - 1);
            (Reverse(score), mentions[0].sentence, mentions[0].span.first, text.clone())
        });
        ranked
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sequences_are_counted_as_in_the_obvious_way(
            chunk in "[\u{4e00}-\u{4e05}\u{e01}-\u{e05}\u{e31}\u{3042}a 。]{0,200}",
            least in 1..3_usize,
        ) {
            let turn = Turn::unlimited();
            let sentences = sentences(&chunk, &turn).expect("no limit");
            let sequences = Sequences::of(&sentences, is_meaningful, &turn).expect("no limit");
            let found = sequences.best(least, &turn).expect("no limit");
            let found: Vec<_> = found
                .iter()
                .map(|group| {
                    let text = sequences.slice(sequences.sorted[group.range.start], group.length);
                    (text.replace(TOKEN_END, ""), sequences.mentions(group))
                })
                .collect();
            prop_assert_eq!(found, counted(&sentences, least));
        }
    }
}
