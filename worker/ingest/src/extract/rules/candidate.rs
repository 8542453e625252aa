//! Candidates for entities, with every mention of each.
//!
//! Guesses an entity's type from the words in and around its name.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::sentence::{Gap, Role, Sentence, Shape, Token};
use super::spot;
use super::spot::{GIVEN_NAMES, PLACES, Span, technology};

/// A mention: one place in a chunk that names something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mention {
    pub(super) sentence: usize,
    pub(super) span: Span,
}

/// All mentions under one name, whatever their capitals.
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
        let (kind, votes) = guess(sentence, mention.span);
        *candidate.kinds.entry(kind).or_default() += votes;
        candidate.mentions.push(mention);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every token that belongs to a name, by sentence and position.
    pub(super) fn tokens(&self) -> HashSet<(usize, usize)> {
        let mentions = self.0.values().flat_map(|candidate| &candidate.mentions);
        mentions
            .flat_map(|mention| (mention.span.first..=mention.span.last).map(|at| (mention.sentence, at)))
            .collect()
    }

    /// Drops candidates that only code mentions.
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

/// The words of a span as written in the text.
fn name_of(sentence: &Sentence, span: Span) -> String {
    let mut name = String::new();
    for (index, token) in sentence.tokens[span.first..=span.last].iter().enumerate() {
        name.push_str(if index > 0 { token.gap.as_str() } else { "" });
        name.push_str(&token.text);
    }
    name
}

/// Entity types, in the order in which ties are decided.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Person,
    Organization,
    Location,
    Event,
    Product,
    Technology,
    Concept,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Person,
        Self::Organization,
        Self::Location,
        Self::Event,
        Self::Product,
        Self::Technology,
        Self::Concept,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Organization => "organization",
            Self::Location => "location",
            Self::Event => "event",
            Self::Product => "product",
            Self::Technology => "technology",
            Self::Concept => "concept",
        }
    }
}

const TITLES: [&str; 22] = [
    "captain",
    "ceo",
    "chancellor",
    "colonel",
    "cto",
    "director",
    "dr",
    "engineer",
    "general",
    "judge",
    "king",
    "lady",
    "lord",
    "mr",
    "mrs",
    "ms",
    "president",
    "prof",
    "professor",
    "queen",
    "sir",
    "minister",
];
const SPEECH: [&str; 24] = [
    "agreed",
    "asked",
    "believes",
    "born",
    "died",
    "explained",
    "explains",
    "graduated",
    "grew",
    "hired",
    "joined",
    "married",
    "met",
    "moved",
    "remembers",
    "resigned",
    "retired",
    "said",
    "says",
    "studied",
    "taught",
    "thinks",
    "told",
    "wrote",
];
const FIRM_VERBS: [&str; 7] = ["acquired", "acquires", "bought", "employs", "hires", "sells", "ships"];
const PLACE_WORDS: [&str; 14] = [
    "based",
    "born",
    "city",
    "headquartered",
    "headquarters",
    "lived",
    "lives",
    "located",
    "moved",
    "office",
    "offices",
    "port",
    "town",
    "warehouse",
];
const CALLED: [(&str, Kind); 12] = [
    ("app", Kind::Product),
    ("city", Kind::Location),
    ("company", Kind::Organization),
    ("conference", Kind::Event),
    ("crate", Kind::Technology),
    ("device", Kind::Product),
    ("framework", Kind::Technology),
    ("language", Kind::Technology),
    ("library", Kind::Technology),
    ("product", Kind::Product),
    ("startup", Kind::Organization),
    ("town", Kind::Location),
];
/// Endings of Chinese and Japanese names.
const ENDINGS: [(Kind, &[&str]); 2] = [
    (Kind::Organization, &["公司", "大学", "大學", "学院", "银行", "集团", "会社", "研究所"]),
    (Kind::Location, &["市", "省", "县", "州", "県", "島", "岛", "湖"]),
];

/// The type that one mention suggests, and how strongly.
pub(super) fn guess(sentence: &Sentence, span: Span) -> (Kind, usize) {
    let name = &sentence.tokens[span.first..=span.last];
    from_name(name).or_else(|| from_neighbours(sentence, span)).unwrap_or_else(|| from_shape(name))
}

fn from_name(name: &[Token]) -> Option<(Kind, usize)> {
    let (first, last) = (name.first()?, name.last()?);
    let is_single = name.len() == 1;
    if last.shape == Shape::Character {
        let text: String = name.iter().map(|token| token.text.as_str()).collect();
        let ending = ENDINGS.iter().find(|(_, endings)| endings.iter().any(|ending| text.ends_with(ending)));
        return Some((ending.map_or(Kind::Concept, |(kind, _)| *kind), 3));
    }
    // The University of Utrecht is a university.
    let of = name.iter().position(|token| matches!(token.key.as_str(), "of" | "for")).filter(|&at| at > 0);
    let head = of.map_or(last, |at| &name[at - 1]).key.as_str();
    if let Some(kind) = spot::head_of_kind(head).and_then(Kind::named).filter(|_| !is_single) {
        return Some((kind, 6));
    }
    let is_initials = first.shape == Shape::Capital && first.text.len() == 1;
    let starts_like_person = (is_initials || GIVEN_NAMES.contains(&first.key))
        && name.iter().all(|token| token.shape != Shape::Number);
    match name {
        _ if name.iter().any(|token| token.key == "university") => Some((Kind::Organization, 5)),
        _ if !is_single && (first.key == "mount" || first.key == "lake" || first.key == "port") => {
            Some((Kind::Location, 5))
        }
        _ if technology(&first.key).is_some() => Some((Kind::Technology, 4)),
        _ if !is_single && starts_like_person => Some((Kind::Person, 5)),
        _ if name.iter().all(|token| PLACES.contains(&token.key)) => Some((Kind::Location, 4)),
        _ if !is_single && last.shape == Shape::Number => Some((Kind::Product, 3)),
        _ => None,
    }
}

fn from_neighbours(sentence: &Sentence, span: Span) -> Option<(Kind, usize)> {
    let tokens = &sentence.tokens;
    let before =
        |distance: usize| span.first.checked_sub(distance).map_or("", |index| tokens[index].key.as_str());
    let is_followed = tokens.get(span.last + 1).is_some_and(|token| token.gap == Gap::Space);
    let after = |distance: usize| {
        tokens.get(span.last + distance).filter(|_| is_followed).map_or("", |token| token.key.as_str())
    };
    let is_capital = tokens[span.first].shape == Shape::Capital;
    let is_speaker = matches!(before(1), "said" | "says" | "asked") || SPEECH.contains(&after(1));
    if is_capital && (TITLES.contains(&before(1)) || is_speaker) {
        return Some((Kind::Person, 3));
    }
    let is_founded =
        matches!(after(1), "was" | "is") && matches!(after(2), "founded" | "established" | "headquartered");
    if is_capital && (is_founded || FIRM_VERBS.contains(&after(1))) {
        return Some((Kind::Organization, 2));
    }
    let is_at = matches!(before(1), "in" | "at" | "near" | "from" | "to" | "of");
    if is_capital && is_at && PLACE_WORDS.contains(&before(2)) {
        return Some((Kind::Location, 3));
    }
    let called = |word: &str| CALLED.iter().find(|(name, _)| *name == word).map(|(_, kind)| (*kind, 2));
    called(after(1)).or_else(|| called(before(1)))
}

fn from_shape(name: &[Token]) -> (Kind, usize) {
    let is_given = |token: &Token| GIVEN_NAMES.contains(&token.key);
    match name {
        [token] if matches!(token.shape, Shape::Code | Shape::Camel | Shape::Acronym) => {
            (Kind::Technology, 1)
        }
        [token] if token.shape == Shape::Lower && token.key.contains('-') => (Kind::Technology, 1),
        [token] if is_given(token) => (Kind::Person, 1),
        // A weight of zero: any cue elsewhere in the chunk outweighs it.
        _ => (Kind::Concept, 0),
    }
}
