//! Relations: entities that stand close together in a sentence.

use std::collections::BTreeMap;

use super::candidate::{Candidate, Mention};
use super::sentence::{Role, Sentence};
use super::token::Shape;
use super::words::is_content;
use crate::compute::{Stopped, Turn};

/// Words between two entities that are related.
const DISTANCE_MAX: usize = 10;
const KEYWORDS_MAX: usize = 5;
/// Neighbours to the right that an entity is linked with in one sentence.
const NEIGHBOURS_MAX: usize = 6;
/// What the links of one mention cost, in bytes of text.
const LINK_COST: usize = 64;

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
pub(super) fn links(
    entities: &[Candidate],
    sentences: &[Sentence],
    limit: usize,
    turn: &Turn,
) -> Result<Vec<Link>, Stopped> {
    let mut found: BTreeMap<(usize, usize), Link> = BTreeMap::new();
    for (number, places) in places(entities, |role| role == Role::Prose, sentences) {
        let words = KeyWords::of(&sentences[number]);
        for (at, &(left, mention)) in places.iter().enumerate() {
            turn.check(LINK_COST)?;
            for &(right, other) in places[at + 1..].iter().take(NEIGHBOURS_MAX) {
                let is_near = other.span.first.saturating_sub(mention.span.last + 1) <= DISTANCE_MAX;
                if left != right && is_near {
                    add(&mut found, (left, right), &words, mention, other);
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
    Ok(links)
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
    words: &KeyWords<'_>,
    left: Mention,
    right: Mention,
) {
    let ends = (ends.0.min(ends.1), ends.0.max(ends.1));
    let keywords = words.of_link(left, right);
    let new = || Link { ends, sentence: left.sentence, keywords: Vec::new(), count: 0 };
    let link = found.entry(ends).or_insert_with(new);
    link.count += 1;
    for keyword in keywords {
        if link.keywords.len() < KEYWORDS_MAX && !link.keywords.iter().any(|known| known == keyword) {
            link.keywords.push(keyword.to_owned());
        }
    }
}

/// The words of a sentence that may say what a link is about, in order and with their places. Found once for each
/// sentence: a sentence without any would be searched to its end for each of its links.
struct KeyWords<'s>(Vec<(usize, &'s str)>);

impl<'s> KeyWords<'s> {
    fn of(sentence: &'s Sentence) -> Self {
        let is_word =
            |shape: Shape| matches!(shape, Shape::Lower | Shape::Capital | Shape::Acronym | Shape::Camel);
        let words = sentence.tokens.iter().enumerate().filter(|(_, token)| {
            is_word(token.shape) && token.key.chars().nth(2).is_some() && is_content(&token.key)
        });
        Self(words.map(|(place, token)| (place, token.key.as_str())).collect())
    }

    /// The words between two mentions, or else those right behind the second.
    fn of_link(&self, left: Mention, right: Mention) -> impl Iterator<Item = &'s str> {
        let from = |place: usize| &self.0[self.0.partition_point(|&(at, _)| at < place)..];
        let between = from(left.span.last + 1);
        let between = &between[..between.partition_point(|&(at, _)| at < right.span.first)];
        let (words, limit) =
            if between.is_empty() { (from(right.span.last + 1), 2) } else { (between, KEYWORDS_MAX) };
        words.iter().take(limit).map(|&(_, word)| word)
    }
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
    let words = KeyWords::of(&sentences[left.1.sentence]);
    let end = Mention { sentence: left.1.sentence, span: right.1.span };
    let end = if left.1.sentence == right.1.sentence { end } else { left.1 };
    add(&mut found, (left.0, right.0), &words, left.1, end);
    found.into_values().next()
}
