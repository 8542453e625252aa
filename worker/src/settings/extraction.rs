use std::time::Duration;

use clap::Args;

use crate::extract::OpenAiSettings;

/// Who finds entities: the built-in rules, or a language model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, Default, Args)]
pub struct ExtractionSettings {
    /// Base URL of an OpenAI-compatible API, such as `https://api.openai.com/v1`. Without it the built-in
    /// rules are used: they work offline and find names, not meaning.
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    pub openai_base_url: Option<String>,
    /// Key for that API.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<String>,
    /// Model to ask.
    #[arg(long, env = "OPENAI_MODEL", default_value = "gpt-4o-mini", value_name = "NAME")]
    pub openai_model: String,
    /// How long one request may take, in seconds.
    #[arg(long, env = "OPENAI_TIMEOUT_S", default_value_t = 120)]
    pub openai_timeout_s: u32,
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
