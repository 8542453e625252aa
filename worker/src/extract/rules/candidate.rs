//! Things that may become entities, with every place that mentions them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::kind::{self, Kind};
use super::sentence::{Role, Sentence};
use super::spot::Span;
use super::words::{PLACES, technology};

/// One place where a chunk names something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mention {
    pub(super) sentence: usize,
    pub(super) span: Span,
}

/// Everything the chunk says under one name, whatever its capitals.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    pub(super) mentions: Vec<Mention>,
    /// Spellings and how often each occurs.
    spellings: BTreeMap<String, usize>,
    kinds: BTreeMap<Kind, usize>,
}

impl Candidate {
    /// The usual spelling of a known technology, else one with a capital, else the most frequent, with fewest
    /// capitals, first by code point: chunks of one document should agree on a spelling.
    pub(super) fn name(&self) -> &str {
        let capitals = |name: &str| name.chars().filter(|c| c.is_uppercase()).count();
        let rank = |name: &str, count: usize| (capitals(name) == 0, usize::MAX - count, capitals(name));
        let best = self.spellings.iter().min_by_key(|(name, count)| rank(name, **count));
        let name = best.map_or("", |(name, _)| name.as_str());
        technology(&name.to_lowercase()).unwrap_or(name)
    }

    pub(super) fn kind(&self) -> Kind {
        let best = self.kinds.iter().min_by_key(|(kind, votes)| (usize::MAX - **votes, **kind));
        best.map_or(Kind::Concept, |(kind, _)| *kind)
    }

    fn order(&self) -> (usize, usize, usize) {
        let first = self.mentions.first().map_or((0, 0), |mention| (mention.sentence, mention.span.first));
        (usize::MAX - self.mentions.len(), first.0, first.1)
    }
}

/// All candidates of a chunk.
#[derive(Debug, Default)]
pub(super) struct Candidates(HashMap<String, Candidate>);

impl Candidates {
    pub(super) fn add(&mut self, sentences: &[Sentence], mention: Mention) {
        let sentence = &sentences[mention.sentence];
        let name = name_of(sentence, mention.span);
        let candidate = self.0.entry(name.to_lowercase()).or_default();
        *candidate.spellings.entry(name).or_default() += 1;
        let (kind, votes) = kind::guess(sentence, mention.span);
        *candidate.kinds.entry(kind).or_default() += votes;
        candidate.mentions.push(mention);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every token, by sentence and place, that belongs to a name.
    pub(super) fn tokens(&self) -> HashSet<(usize, usize)> {
        let mentions = self.0.values().flat_map(|candidate| &candidate.mentions);
        mentions
            .flat_map(|mention| (mention.span.first..=mention.span.last).map(|at| (mention.sentence, at)))
            .collect()
    }

    /// Forgets what only code mentions.
    pub(super) fn drop_code(&mut self, sentences: &[Sentence]) {
        let is_text = |mention: &Mention| sentences[mention.sentence].role != Role::Code;
        self.0.retain(|_, candidate| candidate.mentions.iter().any(is_text));
    }

    pub(super) fn has_text(&self, sentences: &[Sentence], wanted: usize) -> bool {
        let is_text = |mention: &Mention| sentences[mention.sentence].role != Role::Code;
        self.0.values().filter(|candidate| candidate.mentions.iter().any(is_text)).count() >= wanted
    }

    /// Counts "Lindqvist" as "Nora Lindqvist" and "Acme" as "Acme Logistics" where the chunk leaves no doubt.
    pub(super) fn join_short_names(&mut self) {
        let mut full_names: HashMap<&str, Vec<&str>> = HashMap::new();
        for (key, candidate) in &self.0 {
            let Some((first, _)) = key.split_once(' ') else { continue };
            let last = key.rsplit(' ').next().filter(|_| candidate.kind() == Kind::Person);
            if matches!(candidate.kind(), Kind::Person | Kind::Organization) {
                for word in [Some(first), last].into_iter().flatten() {
                    full_names.entry(word).or_default().push(key);
                }
            }
        }
        let is_short =
            |word: &str| !PLACES.contains(word) && technology(word).is_none() && self.0.contains_key(word);
        let pairs = full_names.iter().filter(|(word, names)| names.len() == 1 && is_short(word));
        let pairs: Vec<(String, String)> =
            pairs.map(|(word, names)| ((*word).to_owned(), names[0].to_owned())).collect();
        for (short, full) in pairs {
            let mentions = self.0.remove(&short).map(|candidate| candidate.mentions);
            if let Some(candidate) = self.0.get_mut(&full) {
                candidate.mentions.extend(mentions.into_iter().flatten());
            }
        }
    }

    /// The most frequent candidates, the first mentioned first among equals.
    pub(super) fn into_ranked(self, limit: usize) -> Vec<Candidate> {
        let mut ranked: Vec<(String, Candidate)> = self.0.into_iter().collect();
        for (_, candidate) in &mut ranked {
            candidate.mentions.sort_by_key(|mention| (mention.sentence, mention.span.first));
        }
        ranked.sort_by(|(a_key, a), (b_key, b)| (a.order(), a_key).cmp(&(b.order(), b_key)));
        ranked.truncate(limit);
        ranked.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

/// The words of a span as they are written.
fn name_of(sentence: &Sentence, span: Span) -> String {
    let mut name = String::new();
    for (index, token) in sentence.tokens[span.first..=span.last].iter().enumerate() {
        name.push_str(if index > 0 { token.gap.as_str() } else { "" });
        name.push_str(&token.text);
    }
    name
}
