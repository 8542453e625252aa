//! Extraction by a language model behind an endpoint that speaks OpenAI's chat completions.

mod client;
mod reply;
mod settings;

pub use client::OpenAiExtractor;
pub use settings::{InvalidOpenAiSettings, OpenAiSettings};
