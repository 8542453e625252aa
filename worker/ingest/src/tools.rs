//! What the product's handlers need besides stores, and the settings that choose it.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::extract::{Extractor, OpenAiExtractor, OpenAiSettings, RulesExtractor};
use crate::text::{ChunkSize, Chunker};

const MODEL: &str = "gpt-4o-mini";
const TIMEOUT_S: u32 = 120;

/// Who finds entities: the built-in rules, or a language model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, Args)]
pub struct ExtractionSettings {
    /// Base URL of an OpenAI-compatible API, such as `https://api.openai.com/v1`. Without it the built-in
    /// rules are used: they work offline and find names, not meaning.
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    pub openai_base_url: Option<String>,
    /// Key for that API.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<String>,
    /// Model to ask.
    #[arg(long, env = "OPENAI_MODEL", default_value = MODEL, value_name = "NAME")]
    pub openai_model: String,
    /// How long one request may take, in seconds.
    #[arg(long, env = "OPENAI_TIMEOUT_S", default_value_t = TIMEOUT_S)]
    pub openai_timeout_s: u32,
}

impl Default for ExtractionSettings {
    fn default() -> Self {
        Self {
            openai_base_url: None,
            openai_api_key: None,
            openai_model: MODEL.to_owned(),
            openai_timeout_s: TIMEOUT_S,
        }
    }
}

impl ExtractionSettings {
    /// The language model to ask, if one is configured.
    #[must_use]
    pub fn openai(&self) -> Option<OpenAiSettings> {
        self.openai_base_url.as_ref().map(|base_url| OpenAiSettings {
            base_url: base_url.clone(),
            api_key: self.openai_api_key.clone().map(Into::into),
            model: self.openai_model.clone(),
            timeout: Duration::from_secs(self.openai_timeout_s.into()),
        })
    }
}

/// Shared by all jobs of a worker, so it holds no tenant's data. Handlers get it with
/// [`worker::JobContext::state`].
#[derive(Clone)]
pub struct Tools {
    /// Cuts text into chunks.
    pub chunker: Arc<Chunker>,
    /// Finds entities and relations in a chunk.
    pub extractor: Arc<dyn Extractor>,
}

impl Tools {
    /// The tools that the settings choose.
    ///
    /// # Errors
    /// When the settings of the language model contradict each other.
    pub fn new(settings: &ExtractionSettings) -> anyhow::Result<Self> {
        let extractor: Arc<dyn Extractor> = match settings.openai() {
            Some(settings) => Arc::new(OpenAiExtractor::new(&settings)?),
            None => Arc::new(RulesExtractor),
        };
        let chunker = Arc::new(Chunker::new(ChunkSize::default())?);
        Ok(Self { chunker, extractor })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        extraction: ExtractionSettings,
    }

    /// The defaults for a program that embeds the worker equal those of a start without flags.
    #[test]
    fn what_is_not_said_is_the_same_in_code_and_on_the_command_line() {
        let command = Program::command().mut_args(|arg| arg.env(None::<&str>));
        let program = Program::from_arg_matches(&command.get_matches_from(["program"])).unwrap();
        assert_eq!(format!("{:?}", program.extraction), format!("{:?}", ExtractionSettings::default()));
        let settings =
            ExtractionSettings { openai_base_url: Some("http://llm".into()), ..Default::default() };
        assert_eq!(settings.openai().unwrap().timeout, Duration::from_secs(120));
    }
}
