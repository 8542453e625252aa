//! What handlers work with besides stores.

use std::sync::Arc;

use crate::compute::{Compute, ComputeLimits};
use crate::extract::{Extractor, OpenAiExtractor, RulesExtractor};
use crate::settings::ExtractionSettings;
use crate::text::{ChunkSize, Chunker};

/// What all jobs of a worker share. It holds no tenant's data.
#[derive(Clone)]
pub struct Tools {
    /// Where work is done that keeps a core busy.
    pub compute: Compute,
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
    pub fn new(settings: &ExtractionSettings, limits: ComputeLimits) -> anyhow::Result<Self> {
        let extractor: Arc<dyn Extractor> = match settings.openai() {
            Some(settings) => Arc::new(OpenAiExtractor::new(&settings)?),
            None => Arc::new(RulesExtractor),
        };
        let chunker = Arc::new(Chunker::new(ChunkSize::default())?);
        Ok(Self { compute: Compute::new(limits), chunker, extractor })
    }
}
