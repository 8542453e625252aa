//! Relations: entities that stand close together in a sentence.

use std::collections::BTreeMap;

use super::candidate::{Candidate, Mention};
use super::sentence::{Role, Sentence};
use super::token::Shape;
use super::words::is_content;

/// Words between two entities that are related.
const DISTANCE_MAX: usize = 10;
const KEYWORDS_MAX: usize = 5;
/// Neighbours to the right that an entity is linked with in one sentence.
const NEIGHBOURS_MAX: usize = 6;

/// Two entities that occur together, by their ranks.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) ends: (usize, usize),
    /// The sentence that says so first.
    pub(super) sentence: usize,
    pub(super) keywords: Vec<String>,
    count: usize,
}

/// Links between the entities, the most frequent first. At least one if there are two entities.
pub(super) fn links(entities: &[Candidate], sentences: &[Sentence], limit: usize) -> Vec<Link> {
    let mut found: BTreeMap<(usize, usize), Link> = BTreeMap::new();
    for (number, places) in places(entities, |role| role == Role::Prose, sentences) {
        for (at, &(left, mention)) in places.iter().enumerate() {
            for &(right, other) in places[at + 1..].iter().take(NEIGHBOURS_MAX) {
                let is_near = other.span.first.saturating_sub(mention.span.last + 1) <= DISTANCE_MAX;
                if left != right && is_near {
                    add(&mut found, (left, right), &sentences[number], mention, other);
                }
            }
        }
    }
    if found.is_empty() {
        found.extend(distant_link(entities, sentences).map(|link| (link.ends, link)));
    }
    let mut links: Vec<Link> = found.into_values().collect();
    links.sort_by_key(|link| (usize::MAX - link.count, link.sentence, link.ends));
    links.truncate(limit);
    links
}

type Places = Vec<(usize, Mention)>;

/// Which entities each sentence mentions, from left to right.
fn places(
    entities: &[Candidate],
    accepts: impl Fn(Role) -> bool,
    sentences: &[Sentence],
) -> BTreeMap<usize, Places> {
    let mut places: BTreeMap<usize, Places> = BTreeMap::new();
    for (rank, entity) in entities.iter().enumerate() {
        for mention in entity.mentions.iter().filter(|mention| accepts(sentences[mention.sentence].role)) {
            places.entry(mention.sentence).or_default().push((rank, *mention));
        }
    }
    for places in places.values_mut() {
        places.sort_by_key(|(rank, mention)| (mention.span.first, mention.span.last, *rank));
    }
    places
}

fn add(
    found: &mut BTreeMap<(usize, usize), Link>,
    ends: (usize, usize),
    sentence: &Sentence,
    left: Mention,
    right: Mention,
) {
    let ends = (ends.0.min(ends.1), ends.0.max(ends.1));
    let keywords = keywords_between(sentence, left, right);
    let new = || Link { ends, sentence: left.sentence, keywords: Vec::new(), count: 0 };
    let link = found.entry(ends).or_insert_with(new);
    link.count += 1;
    for keyword in keywords {
        if link.keywords.len() < KEYWORDS_MAX && !link.keywords.contains(&keyword) {
            link.keywords.push(keyword);
        }
    }
}

/// The content words between two mentions, or else those right behind the second.
fn keywords_between(sentence: &Sentence, left: Mention, right: Mention) -> Vec<String> {
    let between = sentence.tokens.get(left.span.last + 1..right.span.first).unwrap_or_default();
    let behind = sentence.tokens.get(right.span.last + 1..).unwrap_or_default();
    let keywords = |tokens: &[super::token::Token], limit: usize| -> Vec<String> {
        let is_word =
            |shape: Shape| matches!(shape, Shape::Lower | Shape::Capital | Shape::Acronym | Shape::Camel);
        let words = tokens
            .iter()
            .filter(|token| is_word(token.shape) && token.key.chars().count() > 2 && is_content(&token.key));
        words.map(|token| token.key.clone()).take(limit).collect()
    };
    let found = keywords(between, KEYWORDS_MAX);
    if found.is_empty() { keywords(behind, 2) } else { found }
}

/// For a chunk in which no two entities are near each other: the two that come closest in reading order.
fn distant_link(entities: &[Candidate], sentences: &[Sentence]) -> Option<Link> {
    let all: Places = places(entities, |_| true, sentences).into_values().flatten().collect();
    let pairs = all.windows(2).filter(|pair| pair[0].0 != pair[1].0);
    let distance = |pair: &[(usize, Mention)]| {
        let (left, right) = (pair[0].1, pair[1].1);
        let apart = right.sentence - left.sentence;
        (apart, if apart == 0 { right.span.first.saturating_sub(left.span.last) } else { 0 })
    };
    let pair = pairs.min_by_key(|pair| distance(pair))?;
    let (left, right) = (pair[0], pair[1]);
    let mut found = BTreeMap::new();
    let sentence = &sentences[left.1.sentence];
    let end = Mention { sentence: left.1.sentence, span: right.1.span };
    let end = if left.1.sentence == right.1.sentence { end } else { left.1 };
    add(&mut found, (left.0, right.0), sentence, left.1, end);
    found.into_values().next()
}
