use std::collections::HashSet;

use super::candidate::{Candidate, Candidates, Mention};
use super::sentence::{Role, Sentence};
use super::usage::Usage;
use async_trait::async_trait;
use stores::model::Extraction;

use super::{links, sentence, spot, terms};
use crate::compute::{Stopped, TenantCompute, Turn};
use crate::extract::extractor::{ExtractError, Extractor};
use crate::extract::records::{ENTITIES_MAX, RECORDS_MAX, Records};

/// With fewer names than this, frequent terms stand in.
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

    fn name(&self) -> &'static str {
        "rules"
    }
}

/// What a chunk names. Time and memory grow with its length: up to [`MEMORY_FACTOR`] bytes for each of its own.
pub(in crate::extract) fn extract(chunk: &str, turn: &Turn) -> Result<Extraction, Stopped> {
    let sentences = sentence::sentences(chunk, turn)?;
    let entities = candidates(chunk, &sentences, turn)?.into_ranked(ENTITIES_MAX);
    let names: Vec<&str> = entities.iter().map(Candidate::name).collect();
    let mut records = Records::default();
    for (entity, name) in entities.iter().zip(&names) {
        let Some(mention) = best_mention(&entity.mentions, &sentences) else { continue };
        records.entity(name, entity.kind().name(), &excerpt(&sentences[mention.sentence].text));
    }
    for link in links::links(&entities, &sentences, RECORDS_MAX, turn)? {
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
