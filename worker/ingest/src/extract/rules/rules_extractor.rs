//! Relates entities that stand close together in a sentence.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use stores::model::Extraction;
use worker::compute::{Stopped, TenantCompute, Turn};

use super::candidate::{Candidate, Candidates, Mention};
use super::sentence::{Role, Sentence, Shape};
use super::spot::{Usage, is_content};
use super::{sentence, spot, terms};
use crate::extract::extractor::{ExtractError, Extractor};
use crate::extract::records::{ENTITIES_MAX, RECORDS_MAX, Records};

/// With fewer names than this, frequent terms are used as well.
const ENTITIES_MIN: usize = 2;
/// The same for chunks long enough to be about more.
const ENTITIES_MIN_LONG: usize = 5;
const LONG_CHARS: usize = 1000;
/// A chunk with this many characters of a script without spaces is searched for frequent sequences.
const UNSPACED_CHARS_MIN: usize = 30;
const SEQUENCES_MAX: usize = 15;
const DESCRIPTION_CHARS_MAX: usize = 300;
/// Bytes that extraction may need for each byte of a chunk: a word is a record of its own.
const MEMORY_FACTOR: usize = 100;

/// Extracts without any model: works offline, at once, and always the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct RulesExtractor;

#[async_trait]
impl Extractor for RulesExtractor {
    async fn extract(&self, chunk: &str, compute: &TenantCompute) -> Result<Extraction, ExtractError> {
        let chunk = chunk.to_owned();
        let memory = chunk.len().saturating_mul(MEMORY_FACTOR);
        let _reservation = compute.reserve(memory as u64).await?;
        Ok(compute.run(move |turn| extract(&chunk, turn)).await??)
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "rules"
    }
}

/// The entities and relations of a chunk. Time and memory grow with its length: up to [`MEMORY_FACTOR`] bytes for
/// each of its own.
pub(in crate::extract) fn extract(chunk: &str, turn: &Turn) -> Result<Extraction, Stopped> {
    let sentences = sentence::sentences(chunk, turn)?;
    let entities = candidates(chunk, &sentences, turn)?.into_ranked(ENTITIES_MAX);
    let names: Vec<&str> = entities.iter().map(Candidate::name).collect();
    let mut records = Records::default();
    for (entity, name) in entities.iter().zip(&names) {
        let Some(mention) = best_mention(&entity.mentions, &sentences) else { continue };
        records.entity(name, entity.kind().name(), &excerpt(&sentences[mention.sentence].text));
    }
    for link in links(&entities, &sentences, RECORDS_MAX, turn)? {
        let keywords =
            if link.keywords.is_empty() { "mentioned together".to_owned() } else { link.keywords.join(",") };
        let description = excerpt(&sentences[link.sentence].text);
        records.relation(names[link.ends.0], names[link.ends.1], &keywords, &description);
    }
    Ok(records.finish())
}

fn candidates(chunk: &str, sentences: &[Sentence], turn: &Turn) -> Result<Candidates, Stopped> {
    let usage = Usage::of(sentences);
    let mut candidates = Candidates::default();
    for (number, sentence) in sentences.iter().enumerate() {
        turn.check(sentence.text.len())?;
        for span in spot::spans(sentence, &usage) {
            candidates.add(sentences, Mention { sentence: number, span });
        }
    }
    candidates.join_short_names();
    let wanted = if chunk.chars().nth(LONG_CHARS).is_some() { ENTITIES_MIN_LONG } else { ENTITIES_MIN };
    if candidates.has_text(sentences, wanted) {
        candidates.drop_code(sentences);
    }
    if terms::unspaced_chars(sentences) >= UNSPACED_CHARS_MIN || candidates.len() < ENTITIES_MIN {
        add_all(&mut candidates, sentences, terms::frequent_sequences(sentences, SEQUENCES_MAX, turn)?);
    }
    if candidates.len() < wanted {
        let missing = wanted - candidates.len();
        let terms = terms::frequent_terms(sentences, &candidates.tokens(), missing, turn)?;
        add_all(&mut candidates, sentences, terms);
    }
    if candidates.len() < ENTITIES_MIN {
        let terms = terms::frequent_terms(sentences, &HashSet::new(), ENTITIES_MIN, turn)?;
        add_all(&mut candidates, sentences, terms);
    }
    Ok(candidates)
}

fn add_all(candidates: &mut Candidates, sentences: &[Sentence], terms: Vec<Vec<Mention>>) {
    for mention in terms.into_iter().flatten() {
        candidates.add(sentences, mention);
    }
}

/// The mention whose sentence describes best: running text before headings before code, and not too short.
fn best_mention(mentions: &[Mention], sentences: &[Sentence]) -> Option<Mention> {
    let rank = |mention: &&Mention| {
        let sentence = &sentences[mention.sentence];
        let role = match sentence.role {
            Role::Prose => 0,
            Role::Heading => 1,
            Role::Code => 2,
        };
        (role, usize::from(sentence.tokens.len() < 4))
    };
    mentions.iter().min_by_key(rank).copied()
}

/// A sentence short enough for a description, cut between words where possible.
fn excerpt(sentence: &str) -> String {
    let Some((end, _)) = sentence.char_indices().nth(DESCRIPTION_CHARS_MAX) else {
        return sentence.to_owned();
    };
    let cut = sentence[..end].rfind(' ').filter(|&at| at > end / 2).unwrap_or(end);
    format!("{}…", &sentence[..cut])
}

/// Words between two entities that are related, at most.
const DISTANCE_MAX: usize = 10;
const KEYWORDS_MAX: usize = 5;
/// Neighbours to the right that an entity is linked with in one sentence.
const NEIGHBOURS_MAX: usize = 6;
/// Cost of the links of one mention, in bytes of text, charged to the job's time slice.
const LINK_COST: usize = 64;

/// Two entities that occur together, by their ranks.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) ends: (usize, usize),
    /// The first sentence in which both occur.
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

/// The entities that each sentence mentions, from left to right.
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

/// The words of a sentence that may be keywords of a link, in order and with their positions. Computed once for
/// each sentence: a sentence without any would otherwise be searched to its end for each of its links.
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
