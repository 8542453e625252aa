//! What handlers work with besides stores.

use std::sync::Arc;

use crate::extract::{Extractor, OpenAiExtractor, RulesExtractor};
use crate::settings::ExtractionSettings;
use crate::text::{ChunkSize, Chunker};

/// Chunker and extractor, shared by all jobs of a worker. They hold no tenant's data.
#[derive(Clone)]
pub struct Tools {
    /// Cuts text into chunks.
    pub chunker: Arc<Chunker>,
    /// Finds entities and relations in a chunk.
    pub extractor: Arc<dyn Extractor>,
}

impl Tools {
    /// The tools that the settings ask for.
    ///
    /// # Errors
    /// When the settings of the language model do not fit together.
    pub fn new(settings: &ExtractionSettings) -> anyhow::Result<Self> {
        let extractor: Arc<dyn Extractor> = match settings.openai() {
            Some(settings) => Arc::new(OpenAiExtractor::new(&settings)?),
            None => Arc::new(RulesExtractor),
        };
        Ok(Self { chunker: Arc::new(Chunker::new(ChunkSize::default())?), extractor })
    }
}
